"""How unlike the participants are, as a number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedsiege import seeding
from fedsiege.partitions.base import Indices, Labels


@dataclass(frozen=True)
class Heterogeneity:
    r"""The label distributions of the participants against that of the whole training set.

    The total-variation distance of participant i is ``1/2 sum_c |p_i(c) - p(c)|``, with ``p_i(c)``
    the share of class c among its samples and ``p(c)`` that in the training set: 0 for the same
    distribution, below 1 always. Every participant counts alike, whatever it has.

    Attributes:
        counts: ``(classes, participants)`` int64, the samples of each class.
        distances: ``(participants,)``, the total-variation distances.
        by_chance: the mean distance of random shares of the same sizes, drawn once: few samples are
            unlike the whole by chance alone.
    """

    counts: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    by_chance: float

    @property
    def mean(self) -> float:
        """The mean distance: the heterogeneity."""
        return float(self.distances.mean())

    @classmethod
    def of(
        cls, labels: Labels, shares: Sequence[Indices], classes: int, seed: int
    ) -> "Heterogeneity":
        """Return that of shares.

        Args:
            labels: ``(N,)`` of the training set.
            shares: the positions of each participant's samples, at least one each.
            classes: the number of classes.
            seed: draws the random shares.
        """
        whole = np.bincount(labels, minlength=classes) / len(labels)
        counts = np.stack([np.bincount(labels[share], minlength=classes) for share in shares], 1)
        random = seeding.generator(seed, "heterogeneity by chance")
        drawn = np.stack([random.multinomial(len(share), whole) for share in shares], 1)
        return cls(counts, _distances(counts, whole), float(_distances(drawn, whole).mean()))


def _distances(
    counts: npt.NDArray[np.int64], whole: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the total-variation distance of each column of counts."""
    distances: npt.NDArray[np.float64]
    distances = np.abs(counts / counts.sum(0) - whole[:, None]).sum(0) / 2
    return distances
