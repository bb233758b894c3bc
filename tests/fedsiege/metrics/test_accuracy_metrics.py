"""What an attack did to the model, by hand-computed cases."""

import math

import numpy as np
import pytest

from fedsiege.errors import InvalidValue
from fedsiege.metrics import WINDOW, attack_impact, class_recall, instability, rounds_to_target


def test_the_impact_is_the_loss_of_accuracy_and_negative_for_a_gain() -> None:
    assert attack_impact([0.5, 0.75, 0.875], [0.5, 0.25, 1.0]) == [0.0, 0.5, -0.125]
    assert attack_impact([], []) == []


def test_runs_of_different_length_have_no_impact() -> None:
    with pytest.raises(InvalidValue, match=r"^clean=1 .*as many rounds as attacked, 2"):
        attack_impact([0.5], [0.5, 0.5])


@pytest.mark.parametrize(
    ("accuracies", "rounds"),
    [
        ([0.1, 0.85, 0.9, 0.95], 2),  # exactly the target is enough
        ([0.95, 0.1], 0),  # it began that good
        ([0.1, 0.91, 0.2, 0.92], 1),  # the first time counts, though it was lost again
        ([0.1, 0.8999], None),
        ([math.nan, 0.9], 1),
        ([], None),
    ],
)
def test_rounds_to_the_target(accuracies: list[float], rounds: int | None) -> None:
    assert rounds_to_target(accuracies, 0.9) == rounds


@pytest.mark.parametrize("target", [0, -0.1, 1.1, math.nan])
def test_a_target_is_an_accuracy(target: float) -> None:
    with pytest.raises(InvalidValue, match="target"):
        rounds_to_target([0.5], target)


def test_the_instability_is_the_deviation_of_a_population() -> None:
    # mean 5, squares of 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 over eight: 4; of a sample it were 32 / 7
    assert instability([2, 4, 4, 4, 5, 5, 7, 9]) == 2.0


def test_the_instability_is_that_of_the_last_ten_rounds() -> None:
    calm = [0.5] * WINDOW
    assert instability([0.0, 1.0, *calm]) == 0
    assert instability([1.0, *calm[1:]]) == pytest.approx(math.sqrt(0.1 * 0.9) / 2)


@pytest.mark.parametrize("accuracies", [[], [0.5]])
def test_one_round_has_no_instability(accuracies: list[float]) -> None:
    assert instability(accuracies) is None


def test_the_recall_of_each_class() -> None:
    confusion = np.array([[3, 1, 0], [0, 0, 2], [0, 0, 0]])
    # class 1: of five, two were called 2 and three were given no number, so 0 of 5 and not of 2
    recall = class_recall(confusion, np.array([4, 5, 0]))
    np.testing.assert_array_equal(recall, [0.75, 0.0, np.nan])


def test_samples_without_a_prediction_are_wrong() -> None:
    np.testing.assert_array_equal(class_recall(np.array([[2]]), np.array([8])), [0.25])


def test_a_confusion_of_other_classes_is_refused() -> None:
    with pytest.raises(InvalidValue, match="confusion"):
        class_recall(np.zeros((2, 3), np.int64), np.array([1, 1]))
