"""The breast cancer set in scikit-learn: a table, which needs no download."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedsiege.datasets.base import Dataset, DatasetSource, registry
from fedsiege.datasets.digits import held_out, packaged
from fedsiege.datasets.preparation import Measurements
from fedsiege.inputs import Features


@registry.register
@dataclass(frozen=True)
class BreastCancer(DatasetSource):
    r"""Read 569 breast masses, 30 features of each, from scikit-learn: malignant or benign.

    Every fifth mass of each class, in the order of the file, is held out: 456 to train on and 113
    to test on. A model takes a feature by mean and deviation of the training part:

    .. math::

        x = \frac{v - \mu}{\sigma}

    Source:
        William Wolberg, Olvi Mangasarian, Nick Street and W. Street, `Breast Cancer Wisconsin
        (Diagnostic) <https://doi.org/10.24432/C5DW2B>`_, UCI Machine Learning Repository, 1993.
    """

    name = "breast-cancer"
    summary = "569 breast masses with 30 features each, from scikit-learn"

    @property
    def inputs(self) -> Features:
        """30 features and two classes."""
        return Features(30, 2)

    def read(self, root: Path) -> Dataset:
        """Return the table, read from the installed scikit-learn; ``root`` is not used."""
        table = np.loadtxt(packaged("breast_cancer.csv"), delimiter=",", skiprows=1)
        features, labels = table[:, :-1].astype(np.float32), table[:, -1].astype(np.int64)
        test = held_out(labels)
        return Dataset(
            self.name,
            features[~test],
            labels[~test],
            features[test],
            labels[test],
            inputs=self.inputs,
            preparation=Measurements.of(features[~test]),
            class_names=("malignant", "benign"),
        )
