"""Layers, read from a model's layout."""

import pytest

from fedsiege import models
from fedsiege.errors import UnfitRound
from fedsiege.rules.sentinel.layers import Layer, layers_of


def test_a_matrix_and_the_bias_after_it_are_one_layer() -> None:
    layout = [
        ("conv.weight", (4, 2, 3, 3)),
        ("conv.bias", (4,)),
        ("norm.weight", (4,)),
        ("norm.bias", (4,)),
        ("fc.weight", (5, 6)),
        ("other.bias", (5,)),
    ]
    assert layers_of(layout, 72 + 4 + 4 + 4 + 30 + 5) == [
        Layer(slice(0, 72), rows=4, columns=18, bias=slice(72, 76)),
        Layer(slice(76, 80), rows=1, columns=4, bias=None),
        Layer(slice(80, 84), rows=1, columns=4, bias=None),
        Layer(slice(84, 114), rows=5, columns=6, bias=None),
        Layer(slice(114, 119), rows=1, columns=5, bias=None),
    ]


@pytest.mark.parametrize("model", models.names())
def test_all_of_our_models_are_layers_with_biases(model: str) -> None:
    layers = layers_of(models.layout(model), models.size(model))
    assert all(layer.bias is not None for layer in layers)
    assert layers[-1].rows == 10


def test_a_layout_of_another_model_is_refused() -> None:
    with pytest.raises(UnfitRound, match="layout has 30 weights, the updates have 31"):
        layers_of([("fc.weight", (5, 6))], 31)
