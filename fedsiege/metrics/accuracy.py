"""Metrics of the accuracy over the rounds of a run."""

import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedsiege.errors import InvalidValue

#: The number of last rounds that ``instability`` considers.
WINDOW = 10


def attack_impact(clean: Sequence[float], attacked: Sequence[float]) -> list[float]:
    """Return the clean minus the attacked accuracy of each round.

    Both runs must have the same settings and seed except for the attack. Otherwise the difference
    includes that of the random draws.

    Args:
        clean: the accuracy of each round without an attack, 0 to 1.
        attacked: the accuracy of the same rounds under attack.

    Returns:
        One difference per round, -1 to 1; below 0 where the attacked model is better.

    Raises:
        InvalidValue: the lengths differ.
    """
    if len(clean) != len(attacked):
        raise InvalidValue("clean", len(clean), f"as many rounds as attacked, {len(attacked)}")
    return [without - under for without, under in zip(clean, attacked, strict=True)]


def instability(accuracies: Sequence[float]) -> float | None:
    """Return the standard deviation of the accuracy over the last ``WINDOW`` rounds.

    It is the population's standard deviation, ``sqrt(mean((x - mean(x))^2))``, since these rounds
    are not a sample of others. It is above 0 for a model that improves steadily, too.

    Args:
        accuracies: the accuracy after each round, without that of the initial model.

    Returns:
        The deviation in the unit of the accuracy, over all rounds if there are fewer than
        ``WINDOW``; None for fewer than two rounds.
    """
    last = accuracies[-WINDOW:]
    return statistics.pstdev(last) if len(last) > 1 else None


def rounds_to_target(accuracies: Sequence[float], target: float) -> int | None:
    """Return the number of rounds after which the accuracy first reaches the target.

    Args:
        accuracies: the accuracy of the initial model, then that after each round, 0 to 1.
        target: above 0, at most 1.

    Returns:
        The number of rounds, 0 if the initial model reaches the target; None if no round does.

    Raises:
        InvalidValue: the target is out of its range.
    """
    if not 0 < target <= 1:
        raise InvalidValue("target", target, "an accuracy above 0, at most 1")
    return next((number for number, one in enumerate(accuracies) if one >= target), None)


def class_recall(
    confusion: npt.NDArray[np.int64], class_samples: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the recall of each class: ``confusion[c, c] / class_samples[c]``.

    The denominator is not the sum of the row, since samples without a prediction are in no column
    and count as wrong.

    Args:
        confusion: ``(C, C)`` samples by true class (row) and predicted class (column).
        class_samples: ``(C,)`` samples of each class.

    Returns:
        ``(C,)`` float64, 0 to 1; NaN for a class without samples.

    Raises:
        InvalidValue: the shapes do not fit.
    """
    classes = len(class_samples)
    if confusion.shape != (classes, classes):
        raise InvalidValue("confusion", confusion.shape, f"({classes}, {classes}), as the samples")
    recall = np.full(classes, np.nan)
    np.divide(np.diagonal(confusion), class_samples, out=recall, where=class_samples > 0)
    return recall
