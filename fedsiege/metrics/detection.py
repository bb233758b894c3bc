"""Metrics of detection: how well and how soon hostile participants are flagged."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedsiege.errors import InvalidValue


@dataclass(frozen=True)
class Detection:
    """The quality of a detector's flags in one round, with hostile as the positive class.

    Attributes:
        tpr: share of the hostile participants that are flagged (recall); None without any.
        fpr: share of the benign participants that are flagged; None without any.
        precision: share of the flagged participants that are hostile; None without any flag.
        auc: area under the ROC of the scores; None without scores, or if all scored participants
            are hostile or all are benign.
    """

    tpr: float | None
    fpr: float | None
    precision: float | None
    auc: float | None


def detection(
    flagged: npt.ArrayLike, hostile: npt.ArrayLike, scores: npt.ArrayLike | None = None
) -> Detection:
    """Return the quality of a detector's flags, given the truth.

    Args:
        flagged: ``(n,)`` bool, the flag of each participant.
        hostile: ``(n,)`` bool, the truth.
        scores: ``(n,)``, higher is more suspect, NaN for a participant without a score; None for a
            detector without scores.

    Raises:
        InvalidValue: the lengths differ.
    """
    said, truth = np.asarray(flagged, bool), np.asarray(hostile, bool)
    if said.shape != truth.shape or said.ndim != 1:
        raise InvalidValue("flagged", said.shape, f"one per participant, {truth.shape}")
    auc = None
    if scores is not None:
        given = np.asarray(scores, np.float64)
        scored = ~np.isnan(given)
        auc = roc_auc(given[scored], truth[scored])
    return Detection(
        tpr=_share(said[truth]), fpr=_share(said[~truth]), precision=_share(truth[said]), auc=auc
    )


def roc_auc(scores: npt.ArrayLike, hostile: npt.ArrayLike) -> float | None:
    """Return the area under the receiver operating characteristic.

    It is the probability that a hostile participant has a higher score than a benign one, where a
    tie counts half: ``(R - m (m + 1) / 2) / (m b)`` with R the sum of the ranks of the m hostile
    among all m + b participants. Equal scores get the mean of their ranks.

    Fawcett, *An introduction to ROC analysis*, Pattern Recognition Letters 27 (2006), section 7;
    the rank form is the statistic of Mann and Whitney (1947).

    Args:
        scores: ``(n,)``, higher is more suspect; may be infinite.
        hostile: ``(n,)`` bool, the truth.

    Returns:
        0 to 1, 0.5 for a score without information; None if all are hostile or all are benign.

    Raises:
        InvalidValue: a score is NaN, or the lengths differ.
    """
    ranked = np.asarray(scores, np.float64)
    truth = np.asarray(hostile, bool)
    if ranked.shape != truth.shape or ranked.ndim != 1:
        raise InvalidValue("scores", ranked.shape, f"one per participant, {truth.shape}")
    if np.isnan(ranked).any():
        raise InvalidValue("scores", "nan", "numbers; leave out participants without a score")
    m = int(truth.sum())
    b = truth.size - m
    if m == 0 or b == 0:
        return None
    _, which, counts = np.unique(ranked, return_inverse=True, return_counts=True)
    ranks = counts.cumsum() - (counts - 1) / 2
    return float((ranks[which][truth].sum() - m * (m + 1) / 2) / (m * b))


@dataclass(frozen=True)
class Discovery:
    """The number of rounds until hostile participants are flagged.

    Attributes:
        median: the median over all hostile participants of the round in which each was first
            flagged, counting the rounds in which it took part; infinite for one that was never
            flagged. None if the median is infinite.
        never: share of the hostile participants that were never flagged.
    """

    median: float | None
    never: float


def discovery(first_flagged: Sequence[int | None]) -> Discovery | None:
    """Return the number of rounds until hostile participants are flagged; None without any.

    Args:
        first_flagged: for each hostile participant the first of its rounds, from 1, in which it was
            flagged; None if it was never flagged.
    """
    if not first_flagged:
        return None
    median = statistics.median(math.inf if one is None else one for one in first_flagged)
    never = sum(one is None for one in first_flagged) / len(first_flagged)
    return Discovery(None if math.isinf(median) else float(median), never)


def _share(of: npt.NDArray[np.bool_]) -> float | None:
    """Return the share of True values; None for an empty array."""
    return float(of.mean()) if of.size else None
