"""``classes.csv`` and ``confusion.csv``: the test of each round by class."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from fedsiege.metrics import class_recall
from fedsiege.results.record import Column, Record


@dataclass(frozen=True)
class ClassRow(Record):
    """One class in the test of one round."""

    file: ClassVar[str] = "classes.csv"

    round: Annotated[int, Column("Number of the round; 0 before any.")]
    label: Annotated[int, Column("Number of the class, from 0 on.", name="class")]
    samples: Annotated[int, Column("Held-out samples of the class.")]
    recall: Annotated[
        float | None,
        Column("Share of them classified correctly, 0 to 1; empty for a class without samples."),
    ]


@dataclass(frozen=True)
class ConfusionRow(Record):
    """One pair of true and predicted class in the test of one round; 0 samples have no row."""

    file: ClassVar[str] = "confusion.csv"

    round: Annotated[int, Column("Number of the round; 0 before any.")]
    true: Annotated[int, Column("True class.")]
    predicted: Annotated[int, Column("Predicted class.")]
    count: Annotated[int, Column("Held-out samples, 1 or more.")]


@dataclass(frozen=True, eq=False)
class Confusion:
    """The confusion matrix of a test.

    Attributes:
        counts: ``(C, C)`` int64, samples by true class (row) and predicted class (column). A
            sample for which the model's outputs are NaN is in no column.
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

    def class_rows(self, round_number: int) -> Iterator[ClassRow]:
        """Yield the rows of ``classes.csv``, one per class."""
        for label, (samples, recall) in enumerate(zip(self.samples, self.recall, strict=True)):
            yield ClassRow(round_number, label, int(samples), recall)

    def confusion_rows(self, round_number: int) -> Iterator[ConfusionRow]:
        """Yield the rows of ``confusion.csv``; pairs that did not occur have none."""
        for true, predicted in np.argwhere(self.counts).tolist():
            yield ConfusionRow(round_number, true, predicted, int(self.counts[true, predicted]))
