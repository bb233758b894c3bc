"""What is measured of each layer."""

import math

import pytest
import torch

from fedsiege.rules.sentinel import measures
from fedsiege.rules.sentinel.layers import layers_of

LAYOUT = [("fc1.weight", (2, 3)), ("fc1.bias", (2,)), ("fc2.weight", (2, 2)), ("fc2.bias", (2,))]
LAYERS = layers_of(LAYOUT, 14)
#: W1 = [[1, 2, 3], [0, 0, 0]], b1 = [4, 0]; W2 = [[3, 0], [0, 4]], b2 = [1, -1].
ROW = torch.tensor([[1.0, 2, 3, 0, 0, 0, 4, 0, 3, 0, 0, 4, 1, -1]])


def test_by_hand() -> None:
    found = measures.measure(ROW, LAYERS)
    length = math.sqrt(14 + 16 + 25 + 2)
    assert found.class_sum.tolist() == [pytest.approx([5 / 5])]  # sums 3, 4 and 0 over a length 5
    assert found.coherence[0].tolist() == pytest.approx([1.0, (1.5 - 2) / (2.5 * math.sqrt(2))])
    assert found.profile[0].exp().tolist() == pytest.approx(
        [math.sqrt(14) / length, 4 / math.sqrt(14), 5 / length, math.sqrt(2) / 5]
    )
    assert found.spectrum.shape == (1, 0)  # no side of 8


@pytest.mark.parametrize("scale", [-1e-6, 1e12])
def test_the_length_of_an_update_does_not_matter(scale: float) -> None:
    one, other = measures.measure(ROW, LAYERS), measures.measure(ROW * scale, LAYERS)
    torch.testing.assert_close(other.profile, one.profile)
    torch.testing.assert_close(other.coherence, one.coherence)
    torch.testing.assert_close(other.class_sum, one.class_sum)


def test_matrices_with_both_sides_of_eight_have_a_spectrum() -> None:
    layers = layers_of(
        [("a.weight", (7, 9)), ("b.weight", (8, 2, 2, 2)), ("c.weight", (9, 7))], 190
    )
    assert measures.measure(torch.ones(3, 190), layers).spectrum.tolist() == [[1.0]] * 3


def test_layers_that_do_not_move_are_numbers_all_the_same() -> None:
    still = torch.zeros(1, 14)
    still[0, 6] = 1.0  # one bias alone
    found = measures.measure(still, LAYERS)
    assert found.profile.isfinite().all()
    assert found.class_sum.tolist() == [[0.0]]
    assert found.coherence.isfinite().all()


def test_a_model_without_matrices_has_no_such_measures() -> None:
    layers = layers_of([("weight", (5,)), ("bias", (3,))], 8)
    found = measures.measure(torch.ones(4, 8), layers)
    assert found.class_sum.shape == found.spectrum.shape == found.coherence.shape == (4, 0)
    assert found.profile.shape == (4, 2)


def test_a_filter_with_one_output_has_no_coherence() -> None:
    """A cosine of single numbers is a sign: there is nothing in it to be coherent."""
    layers = layers_of([("conv1.weight", (1, 1, 3, 3)), ("conv1.bias", (1,))], 10)
    found = measures.measure(torch.ones(2, 10), layers)
    assert found.coherence.shape == (2, 0)
    assert found.profile.shape == (2, 2)


def test_blocks_of_rows_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(7, 14, generator=torch.Generator().manual_seed(0))
    whole = measures.measure(rows, LAYERS)
    monkeypatch.setattr(measures, "_BLOCK", 3 * 14)
    torch.testing.assert_close(measures.measure(rows, LAYERS).profile, whole.profile)
