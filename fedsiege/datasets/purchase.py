"""Purchase-100, from the ``.npz`` file in which it is published."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from fedsiege.datasets import cache
from fedsiege.datasets.base import Dataset, DatasetSource, Published, registry
from fedsiege.datasets.npz import unpack
from fedsiege.datasets.preparation import Measurements
from fedsiege.errors import MissingData
from fedsiege.inputs import Features

_FEATURES, _CLASSES = 600, 100


@registry.register
@dataclass(frozen=True)
class Purchase100(DatasetSource):
    r"""Read Purchase-100: which of 600 products each of 197,324 customers bought.

    The classes are 100 kinds of customers, found by clustering. No part is held out by its authors:
    a share of the customers is drawn here. A model takes a feature :math:`x` as it is, 0 or 1.

    Source:
        Reza Shokri, Marco Stronati, Congzheng Song and Vitaly Shmatikov, `Membership Inference
        Attacks Against Machine Learning Models <https://arxiv.org/abs/1610.05820>`_, IEEE Symposium
        on Security and Privacy 2017, section VI.A; as the arrays `features` and `labels`, one-hot,
        of `Purchase100-dataset <https://github.com/xehartnort/Purchase100-dataset>`_.
    """

    name = "purchase100"
    summary = "197,324 customers by what they bought, of 100 kinds"

    test: Annotated[float, Gt(0), Lt(1), "share of the customers that is held out"] = 0.2
    seed: Annotated[int, Ge(0), "seed of the draw of that share"] = 0

    @property
    def inputs(self) -> Features:
        """600 features and 100 classes."""
        return Features(_FEATURES, _CLASSES)

    @property
    def published(self) -> tuple[Published, ...]:
        """One file."""
        url = "https://github.com/xehartnort/Purchase100-dataset/releases/download/v1.1/purchase100.npz"
        return (Published("purchase100.npz", url, "0d7538b9806e7ee622e1a252585e7768"),)

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the file."""
        self.published[0].fetch(self.name, root, limit_s)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the arrays of its file."""
        file = root / self.published[0].file
        made = f"purchase100 {self.test} {self.seed}"
        arrays = cache.mapped([file], made, lambda folder: self._write(file, folder))
        as_they_are = (np.zeros(_FEATURES, np.float32), np.ones(_FEATURES, np.float32))
        return Dataset.of(
            self.name,
            arrays,
            inputs=self.inputs,
            preparation=Measurements(*as_they_are),
        )

    def _write(self, file: Path, folder: Path) -> None:
        """Unpack, check and divide the file.

        Raises:
            MissingData: it is damaged.
        """
        from fedsiege import seeding  # late: it imports torch

        unpack(file, folder, ("features", "labels"))
        features = np.load(folder / "features.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npy", mmap_mode="r")
        if features.ndim != 2 or labels.shape != (len(features), _CLASSES) or not len(features):
            raise MissingData(
                f"{file} has features {features.shape} and labels {labels.shape}, "
                f"not (N, {_FEATURES}) and (N, {_CLASSES})"
            )
        if features.shape[1] != _FEATURES:
            raise MissingData(f"{file} has {features.shape[1]} features, not {_FEATURES}")
        if (labels.sum(axis=1) != 1).any() or labels.max() != 1:
            raise MissingData(f"{file} has labels that are not one-hot")
        if not np.isin(features[:1000], (0, 1)).all():
            raise MissingData(f"{file} has features that are neither 0 nor 1")
        order = seeding.generator(self.seed, "held-out samples").permutation(len(features))
        tested, bits = round(self.test * len(features)), features.astype(np.uint8)
        kinds = labels.argmax(axis=1).astype(np.int64)
        for part, drawn in (("test", order[:tested]), ("train", order[tested:])):
            rows = np.sort(drawn)
            cache.save(folder, **{f"{part}_samples": bits[rows], f"{part}_labels": kinds[rows]})
        for name in ("features", "labels"):
            (folder / f"{name}.npy").unlink()
