"""Who repeats or reverses what it sent before, by hand."""

import math

import pytest
import torch

from fedsiege import detectors
from fedsiege.errors import InvalidValue
from fedsiege.rules import RoundContext


def at(degrees: list[float], length: float = 1.0) -> torch.Tensor:
    rows = [[math.cos(math.radians(a)), math.sin(math.radians(a)), 0] for a in degrees]
    return torch.tensor(rows) * length


def test_nobody_is_scored_in_its_first_round():
    scores, _ = detectors.create("history").score(at([0, 0, 90, 180]))
    assert scores.tolist() == [0] * 4


def test_too_consistent_by_hand():
    detector = detectors.create("history", z=2.0, floor=0.1, reverse=1.0)
    _, state = detector.score(at([0] * 5))
    angles = [10, 20, 30, 40, 0.01]
    scores, _ = detector.score(at(angles, length=7), state=state)
    logs = torch.tensor([math.log(math.radians(a)) for a in angles], dtype=torch.float64)
    median = logs[1]  # that of 20 degrees
    spread = 1.4826 * (logs - median).abs().median()
    expected = -(logs - median) / spread / 2
    # Who turns has minus its cosine, if that is more; here it is less than 0 for all.
    cosines = torch.tensor([math.cos(math.radians(a)) for a in angles], dtype=torch.float64)
    torch.testing.assert_close(scores, torch.maximum(expected, -cosines), rtol=1e-3, atol=1e-5)
    assert (scores >= 1).tolist() == [False] * 4 + [True]


def test_reversed_by_hand():
    detector = detectors.create("history", reverse=0.5)
    _, state = detector.score(at([0] * 4))
    scores, _ = detector.score(at([10, 20, 40, 135]), state=state)
    assert scores[3] == pytest.approx(math.sqrt(0.5) / 0.5, rel=1e-5)
    assert (scores >= 1).tolist() == [False, False, False, True]


def test_where_most_turn_nobody_is_blamed_for_it():
    detector = detectors.create("history")
    _, state = detector.score(at([0] * 5))
    scores, _ = detector.score(at([170, 150, 120, 100, 30]), state=state)
    assert not (scores >= 1).any()


def test_the_average_forgets_slowly():
    """Half turned: E is .8 (1, 0) + .2 (0, 1) after two rounds, at 14.04 degrees."""
    detector = detectors.create("history")
    _, state = detector.score(at([0]))
    _, state = detector.score(at([90]), state=state)
    assert state.averages[0].tolist() == pytest.approx([0.8, 0.2, 0], abs=1e-6)
    scores, _ = detector.score(at([194.04]), state=state)  # the opposite of E
    assert scores[0] <= 0, "the median of one is the one itself: all turn"


def test_memory_is_by_identity_and_outlasts_absence():
    detector = detectors.create("history")

    def context(*who: int) -> RoundContext:
        return RoundContext(participants=torch.tensor(who))

    _, state = detector.score(at([0, 10, 20, 30]), context(4, 5, 6, 7))
    _, state = detector.score(at([50]), context(9), state)
    scores, _ = detector.score(at([180, 12, 35, 70, 50]), context(4, 5, 6, 9, 11), state)
    assert (scores >= 1).tolist() == [True, False, False, False, False]
    assert scores[4] == 0, "its first round"


def test_no_more_identities_are_remembered_than_allowed():
    detector = detectors.create("history", remember=3)
    state = None
    for first in range(0, 20, 2):
        context = RoundContext(participants=torch.tensor([first, first + 1]))
        _, state = detector.score(at([0, 9]), context, state)
    assert state.identities.tolist() == [18, 19, 16]
    assert state.averages.shape == (3, 3)


@pytest.mark.parametrize("parameters", [{"z": 0}, {"floor": 0}, {"reverse": 2}, {"remember": 0}])
def test_parameters_out_of_range(parameters):
    with pytest.raises(InvalidValue, match="history:"):
        detectors.create("history", **parameters)
