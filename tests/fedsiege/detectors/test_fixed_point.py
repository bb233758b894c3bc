"""Who pulls to one point, by hand."""

import math

import pytest
import torch

from fedsiege import detectors
from fedsiege.detectors.fixed_point import residual_of
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import RoundContext
from tests.cases import each

D = 200


def vector(seed: int, length: float = 1.0) -> torch.Tensor:
    row = torch.randn(D, generator=torch.Generator().manual_seed(seed))
    return row / row.norm() * length


def context(number: int, model: torch.Tensor, *who: int) -> RoundContext:
    participants = torch.tensor(who) if who else None
    return RoundContext(round_number=number, model=model, participants=participants)


@each(
    ("moved", "first", "second", "expected"),
    [
        # to (4, 3) from (0, 0) and, a way of (1, 0) later, from (1, 0): on the point
        ([1, 0, 0], [4, 3, 0], [3, 3, 0], 0.0),
        # the same at other lengths: lambda 2 and 1/2
        ([1, 0, 0], [8, 6, 0], [1.5, 1.5, 0], 0.0),
        # the model went out of the plane of both updates as far as within it
        ([1, 0, 1], [4, 3, 0], [3, 3, 0], math.sqrt(0.5)),
        # they meet behind the model: it is pushed away from the point
        ([1, 0, 0], [-4, -3, 0], [-3, -3, 0], math.inf),
        # parallel updates meet nowhere
        ([1, 0, 0], [4, 3, 0], [4, 3, 0], math.inf),
        # nothing to tell from
        ([0, 0, 0], [4, 3, 0], [3, 3, 0], math.inf),
        ([1, 0, 0], [0, 0, 0], [3, 3, 0], math.inf),
        ([1, 0, 0], [4, 3, 0], [0, 0, 0], math.inf),
    ],
)
def test_the_residual_by_hand(moved, first, second, expected):
    three = [torch.tensor(x, dtype=torch.float64) for x in (moved, first, second)]
    assert residual_of(*three) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scale", [0.5, 1, 1e6])
def test_mpaf_is_flagged_in_its_second_round_and_noise_is_not(scale):
    target, models = vector(0, 10), (vector(1), vector(2))
    detector, state = detectors.create("fixed-point"), None
    for number, model in enumerate(models, 1):
        rows = torch.stack([vector(10 * number), scale * (target - model), vector(10 * number + 1)])
        scores, state = detector.score(rows, context(number, model), state)
        if number == 1:
            assert scores.tolist() == [0, 0, 0]
    assert (scores >= 1).tolist() == [False, True, False]
    assert scores[1] > 1000


def test_lambda_may_change_from_round_to_round():
    """As where fakes match the length of what the federation does."""
    target, detector, state = vector(0, 10), detectors.create("fixed-point"), None
    for number, length in ((1, 0.3), (2, 7.0)):
        model = vector(number)
        pull = (target - model) / (target - model).norm() * length
        scores, state = detector.score(pull[None], context(number, model), state)
    assert scores[0] > 1000


def test_it_compares_with_the_model_of_the_round_in_which_one_was_there():
    target, detector = vector(0, 10), detectors.create("fixed-point", window=3)
    first, second, third = (vector(x) for x in (1, 2, 3))
    _, state = detector.score((target - first)[None], context(1, first, 7))
    _, state = detector.score(vector(20)[None], context(2, second, 8), state)
    rows = torch.stack([target - third, vector(21)])
    scores, _ = detector.score(rows, context(3, third, 7, 8), state)
    assert (scores >= 1).tolist() == [True, False]


def test_beyond_the_window_nothing_is_remembered():
    target, detector, state = vector(0, 10), detectors.create("fixed-point", window=2), None
    for number, who in ((1, 7), (2, 8), (3, 8), (4, 7)):
        model = vector(number)
        rows = (target - model)[None]
        scores, state = detector.score(rows, context(number, model, who), state)
        assert len(state.models) <= 2
        assert 7 not in state.identities.tolist() or number != 3
    assert scores.tolist() == [0]


def test_it_needs_the_model_and_one_that_fits():
    detector = detectors.create("fixed-point")
    with pytest.raises(UnfitRound, match="model"):
        detector.score(torch.ones(2, D))
    with pytest.raises(UnfitRound, match="200"):
        detector.score(torch.ones(2, D), context(1, torch.ones(3)))


@pytest.mark.parametrize("parameters", [{"residual": 1}, {"window": 0}, {"remember": 0}])
def test_parameters_out_of_range(parameters):
    with pytest.raises(InvalidValue, match="fixed-point:"):
        detectors.create("fixed-point", **parameters)
