"""``classes.csv`` and ``confusion.csv``: the test of each round by class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedsiege.metrics import class_recall

CLASSES_HEADER = ("round", "class", "samples", "recall")
CONFUSION_HEADER = ("round", "true", "predicted", "count")


@dataclass(frozen=True, eq=False)
class Confusion:
    """Which class the model took the held-out samples of each class for.

    Attributes:
        counts: ``(C, C)`` int64, samples by true class (row) and predicted class (column); a
            sample for which the model gives no number stands in no column.
        samples: ``(C,)`` int64, samples of each class.
    """

    counts: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]

    @property
    def recall(self) -> list[float | None]:
        """The share of each class classified correctly, 0 to 1; None without samples."""
        recall: list[float] = class_recall(self.counts, self.samples).tolist()
        return [
            one if some else None for one, some in zip(recall, self.samples.tolist(), strict=True)
        ]

    def class_rows(self, round_number: int) -> Iterator[tuple[object, ...]]:
        """Spell it as ``CLASSES_HEADER`` says, one row per class."""
        for number, (samples, recall) in enumerate(zip(self.samples, self.recall, strict=True)):
            yield round_number, number, int(samples), recall

    def confusion_rows(self, round_number: int) -> Iterator[tuple[int, ...]]:
        """Spell it as ``CONFUSION_HEADER`` says; pairs that did not occur have no row."""
        for true, predicted in np.argwhere(self.counts).tolist():
            yield round_number, true, predicted, int(self.counts[true, predicted])
