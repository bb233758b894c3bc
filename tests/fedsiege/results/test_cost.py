"""How the accuracy changed over a run, and what of that the attack cost."""

import pytest

from fedsiege.experiment.settings import count
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import Change, Cost, HistoryRow
from fedsiege.results.cost import differences


def history(*accuracies: float) -> list[HistoryRow]:
    return [HistoryRow(i, a, 1 - a, 100, 0, 0.25) for i, a in enumerate(accuracies)]


def test_the_change_since_the_start() -> None:
    change = Change.of(history(0.932, 0.911, 0.743, 0.32, 0.157, 0.16))
    assert (change.before, change.after) == (0.932, 0.16)
    assert change.points == pytest.approx(-77.2)
    assert (change.lowest, change.lowest_round) == (0.157, 4)
    assert Change.of(history(0.1, 0.5)).points == pytest.approx(40)


def test_the_cost_is_what_the_clean_twin_has_more() -> None:
    """A model that learns under attack pays too: less than its twin learns is lost."""
    cost = Cost.of(history(0.1, 0.2, 0.5, 0.4), history(0.1, 0.28, 0.9, 0.95, 0.99), 0.1)
    assert cost is not None
    assert (cost.round, cost.clean) == (3, 0.95), "rounds that one run lacks do not count"
    assert cost.points == pytest.approx(55)
    assert (cost.most, cost.most_round) == (pytest.approx(55), 3)
    assert cost.half_lost == 2  # .4 of the .8 above .1 are gone; in round 1 .08 of .18
    other = Cost.of(history(0.9, 0.95), history(0.9, 0.92), 0.1)
    assert other is not None
    assert other.points == pytest.approx(-3)


def test_a_clean_twin_may_differ_in_the_name_and_in_what_is_of_the_attack() -> None:
    class Newer(ExperimentSpec):
        attack_from: int = count(1, "First round of the attack", 1, of_attack=True)

    attacked = Newer(
        name="a", attack=0.3, attack_name="alie", scale=3, leaked=5, intrusions="replay", seed=1
    )
    assert differences(attacked, Newer(attack=0, seed=1)) == []
    assert differences(Newer(attack_from=3), Newer(attack=0)) == []
    assert differences(attacked, Newer(attack=0, clip=2)) == ["seed", "clip"]


def test_without_a_round_in_common_there_is_no_cost() -> None:
    assert Cost.of(history(0.9), history(0.9, 0.9), 0.1) is None


@pytest.mark.parametrize(
    ("attacked", "clean", "half_lost"),
    [
        ((0.9, 0.49, 0.48), (0.9, 0.9, 0.9), 1),
        ((0.9, 0.2, 0.9), (0.9, 0.9, 0.9), None),  # it came back
        ((0.9, 0.91, 0.92), (0.9, 0.9, 0.9), None),
        ((0.1, 0.1, 0.05), (0.1, 0.1, 0.1), None),  # nothing above chance was gained anywhere
        ((0.1, 0.1, 0.1), (0.1, 0.09, 0.5), 2),  # in round 1 the twin had gained nothing either
        ((0.5, 0.3, 0.3), (0.5, 0.7, 0.9), 1),
    ],
)
def test_from_when_on_half_was_lost(
    attacked: tuple[float, ...], clean: tuple[float, ...], half_lost: int | None
) -> None:
    cost = Cost.of(history(*attacked), history(*clean), 0.1)
    assert cost is not None
    assert cost.half_lost == half_lost


@pytest.mark.parametrize(
    ("accuracy", "loss", "destroyed", "text"),
    [
        (0.0, float("nan"), True, "destroyed"),
        (0.098, float("inf"), False, "9.8%"),  # its outputs are too large, but tell classes apart
        (float("nan"), float("nan"), False, "nan%"),  # it could not be tested
    ],
)
def test_a_model_whose_outputs_are_no_numbers_is_destroyed(
    accuracy: float, loss: float, destroyed: bool, text: str
) -> None:
    row = HistoryRow(1, accuracy, loss, 5, 0, 0.1)
    assert (row.destroyed, row.accuracy_text) == (destroyed, text)
