"""Who is like others in layer after layer, by hand."""

import pytest
import torch

from fedsiege import detectors
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import RoundContext

#: Three layers of 40 weights.
LAYOUT = RoundContext(layout=[("one", (40,)), ("two", (8, 5)), ("three", (4, 10))])


def draw(n: int = 10) -> torch.Tensor:
    return torch.randn(n, 120, generator=torch.Generator().manual_seed(1))


def test_by_hand():
    """Two layers of two weights: cosines to the nearest are those of the angles."""
    layout = RoundContext(layout=[("one", (2,)), ("two", (2,))])
    rows = torch.tensor([[1.0, 0, 1, 0], [0.6, 0.8, 0.8, 0.6], [0.0, 1, 0, 1]])
    detector = detectors.create("layers", neighbours=1, cosine=0.99, share=1.0)
    # layer one: 1 - .6, 1 - .8, 1 - .8; layer two: 1 - .8, 1 - .8, 1 - .6; the smaller score counts
    expected = [0.01 / 0.4, 0.01 / 0.2, 0.01 / 0.4]
    assert detector.score(rows, layout)[0].tolist() == pytest.approx(expected, rel=1e-4)
    half = detectors.create("layers", neighbours=1, cosine=0.99, share=0.5)
    assert half.score(rows, layout)[0].tolist() == pytest.approx([0.01 / 0.2] * 3, rel=1e-4)


def test_three_that_differ_in_one_layer_of_three_are_flagged_and_are_no_duplicates():
    rows = draw()
    rows[7:, :80] = rows[7, :80]
    assert (detectors.create("layers").score(rows, LAYOUT)[0] >= 1).tolist() == [False] * 7 + [
        True
    ] * 3
    assert not (detectors.create("duplicate").score(rows)[0] >= 1).any()


def test_two_alike_are_not_enough_for_two_neighbours():
    rows = draw()
    rows[8:] = rows[8].clone()
    assert not (detectors.create("layers").score(rows, LAYOUT)[0] >= 1).any()
    assert (detectors.create("layers", neighbours=1).score(rows, LAYOUT)[0] >= 1)[8:].all()


def test_who_is_alike_in_one_layer_of_three_is_not_flagged():
    rows = draw()
    rows[7:, :40] = rows[7, :40]
    assert not (detectors.create("layers").score(rows, LAYOUT)[0] >= 1).any()


def test_a_layer_in_which_all_are_alike_says_nothing():
    """As two biases in a first round, which all move by the same rule."""
    context = RoundContext(layout=[("bias", (2,)), ("bias two", (2,)), ("weight", (116,))])
    rows = draw()
    rows[:, :4] = rows[:1, :4] * torch.arange(1.0, 11.0)[:, None]
    assert not detectors.create("layers").score(rows, context)[0].any()


def test_who_agrees_on_the_sign_of_a_bias_is_not_alike():
    """The cosine of two single numbers is 1 or -1."""
    context = RoundContext(layout=[("bias", (1,)), ("bias two", (1,)), ("weight", (118,))])
    rows = draw()
    rows[:4, :2] = torch.tensor([1.0, -1.0])
    rows[4:, :2] = torch.tensor([[-2.0, 3.0], [1.0, 1.0]]).repeat(3, 1)
    assert not (detectors.create("layers").score(rows, context)[0] >= 1).any()


def test_it_needs_the_layout():
    with pytest.raises(UnfitRound, match="layout"):
        detectors.create("layers").score(draw())


@pytest.mark.parametrize("parameters", [{"neighbours": 0}, {"cosine": 1.0}, {"share": 0}])
def test_parameters_out_of_range(parameters):
    with pytest.raises(InvalidValue, match="layers:"):
        detectors.create("layers", **parameters)
