"""The layers of a layout, and the features of an update in each of them."""

import math

import pytest
import torch

from fedsiege import models
from fedsiege.errors import UnfitRound
from fedsiege.rules.sentinel import layers as module
from fedsiege.rules.sentinel.layers import Layer, layers_of, share_of_two_largest
from tests.classifiers import classifiers


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


@pytest.mark.parametrize("model", ["net", "lenet5", "cnn", "mlp"])
def test_models_without_normalisation_are_layers_with_biases(model: str) -> None:
    layers = layers_of(models.layout(model), models.size(model))
    assert all(layer.bias is not None for layer in layers)
    assert layers[-1].rows == 10


@pytest.mark.parametrize("of", classifiers(), ids=str)
def test_the_layers_of_a_model_are_all_of_its_weights_once(of: models.Classifier) -> None:
    layers = layers_of(models.layout(of), models.size(of))
    places = [layer.weight for layer in layers] + [layer.bias for layer in layers if layer.bias]
    covered = sorted((place.start, place.stop) for place in places)
    stops, starts = [stop for _, stop in covered], [start for start, _ in covered]
    assert [0, *stops] == [*starts, models.size(of)]


def test_a_layout_of_another_model_is_refused() -> None:
    with pytest.raises(UnfitRound, match="layout has 30 weights, the updates have 31"):
        layers_of([("fc.weight", (5, 6))], 31)


LAYOUT = [("fc1.weight", (2, 3)), ("fc1.bias", (2,)), ("fc2.weight", (2, 2)), ("fc2.bias", (2,))]
LAYERS = layers_of(LAYOUT, 14)
#: W1 = [[1, 2, 3], [0, 0, 0]], b1 = [4, 0]; W2 = [[3, 0], [0, 4]], b2 = [1, -1].
ROW = torch.tensor([[1.0, 2, 3, 0, 0, 0, 4, 0, 3, 0, 0, 4, 1, -1]])


def test_features_by_hand() -> None:
    found = module.layer_features(ROW, LAYERS)
    length = math.sqrt(14 + 16 + 25 + 2)
    assert found.class_sum.tolist() == [pytest.approx([5 / 5])]  # sums 3, 4 and 0 over a length 5
    assert found.coherence[0].tolist() == pytest.approx([1.0, (1.5 - 2) / (2.5 * math.sqrt(2))])
    assert found.profile[0].exp().tolist() == pytest.approx(
        [math.sqrt(14) / length, 4 / math.sqrt(14), 5 / length, math.sqrt(2) / 5]
    )
    assert found.spectrum.shape == (1, 0)  # no side of 8


@pytest.mark.parametrize("scale", [-1e-6, 1e12])
def test_the_length_of_an_update_does_not_matter(scale: float) -> None:
    one, other = module.layer_features(ROW, LAYERS), module.layer_features(ROW * scale, LAYERS)
    torch.testing.assert_close(other.profile, one.profile)
    torch.testing.assert_close(other.coherence, one.coherence)
    torch.testing.assert_close(other.class_sum, one.class_sum)


def test_matrices_with_both_sides_of_eight_have_a_spectrum() -> None:
    layers = layers_of(
        [("a.weight", (7, 9)), ("b.weight", (8, 2, 2, 2)), ("c.weight", (9, 7))], 190
    )
    assert module.layer_features(torch.ones(3, 190), layers).spectrum.tolist() == [[1.0]] * 3


def test_layers_that_do_not_move_are_numbers_all_the_same() -> None:
    still = torch.zeros(1, 14)
    still[0, 6] = 1.0  # one bias alone
    found = module.layer_features(still, LAYERS)
    assert found.profile.isfinite().all()
    assert found.class_sum.tolist() == [[0.0]]
    assert found.coherence.isfinite().all()


def test_a_model_without_matrices_has_no_such_measures() -> None:
    layers = layers_of([("weight", (5,)), ("bias", (3,))], 8)
    found = module.layer_features(torch.ones(4, 8), layers)
    assert found.class_sum.shape == found.spectrum.shape == found.coherence.shape == (4, 0)
    assert found.profile.shape == (4, 2)


def test_a_filter_with_one_output_has_no_coherence() -> None:
    """A cosine of single numbers is a sign: there is nothing in it to be coherent."""
    layers = layers_of([("conv1.weight", (1, 1, 3, 3)), ("conv1.bias", (1,))], 10)
    found = module.layer_features(torch.ones(2, 10), layers)
    assert found.coherence.shape == (2, 0)
    assert found.profile.shape == (2, 2)


def test_blocks_of_rows_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(7, 14, generator=torch.Generator().manual_seed(0))
    whole = module.layer_features(rows, LAYERS)
    monkeypatch.setattr(module, "_BLOCK", 3 * 14)
    torch.testing.assert_close(module.layer_features(rows, LAYERS).profile, whole.profile)


def matrix(singular_values: list[float], rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """A matrix with these singular values, and others of 0."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(rows, len(singular_values), generator=generator)).Q
    right = torch.linalg.qr(torch.randn(columns, len(singular_values), generator=generator)).Q
    return left * torch.tensor(singular_values) @ right.T


@pytest.mark.parametrize(("rows", "columns"), [(10, 84), (84, 10), (120, 256), (84, 120)])
def test_the_two_largest_have_their_share_of_the_squares(rows: int, columns: int) -> None:
    values = [3.0, 2.0, 1.0, 1.0, 0.5]
    several = torch.stack([matrix(values, rows, columns), matrix([1.0], rows, columns)])
    assert share_of_two_largest(several).tolist() == pytest.approx([13 / 15.25, 1.0], abs=1e-5)


def test_noise_has_little_in_two_directions() -> None:
    noise = torch.randn(1, 120, 256, generator=torch.Generator().manual_seed(0))
    exact = torch.linalg.svdvals(noise[0])[:2].square().sum() / noise.square().sum()
    assert 0.5 * exact < share_of_two_largest(noise).item() <= exact * 1.0001
    assert exact < 0.1


@pytest.mark.parametrize("scale", [1e-15, 1e-6, 1e15])
def test_the_scale_of_a_matrix_does_not_matter(scale: float) -> None:
    values = share_of_two_largest(matrix([2.0, 1.0, 1.0], 40, 30)[None] * scale)
    assert values.item() == pytest.approx(5 / 6, abs=1e-5)


def test_a_matrix_that_does_not_move_is_of_low_rank() -> None:
    assert share_of_two_largest(torch.zeros(2, 20, 30)).tolist() == [1.0, 1.0]
