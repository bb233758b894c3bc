"""The base of sources of one's own data: the file, the checks, and the split."""

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fedsiege import grammar
from fedsiege.datasets import cache
from fedsiege.datasets import files as data_files
from fedsiege.datasets.base import Dataset, DatasetSource, registry
from fedsiege.datasets.preparation import (
    Measurements,
    Pictures,
    Preparation,
    Statistics,
    statistics_of,
)
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.inputs import Features, Image, Inputs

Array = npt.NDArray[Any]
#: What a class is called at most, so that tables of them stay readable.
_LONGEST_NAME = 100


class OwnData(DatasetSource):
    """Base of the sources of one's own data, which a parameter names.

    Attributes:
        file: the parameter: a name in the data folder, or the path of a file that the command on
            this machine was given; see ``files.py``.
        test: the share of each class that is held out where the data have no test part.
        seed: of the draw of that part. It is not the run's seed: runs with different seeds are
            tested on the same samples.
    """

    positional: ClassVar[str | None] = "file"
    file: str
    test: float
    seed: int

    def is_here(self, root: Path) -> bool:
        """Return whether the file may be read and exists."""
        try:
            self.path(root)
        except MissingData:
            return False
        return True

    def fetch(self, root: Path, limit_s: float) -> None:
        """Raise MissingData: one's own data cannot be downloaded."""
        self.path(root)

    def path(self, root: Path) -> Path:
        """Return the path of the file.

        Raises:
            InvalidValue: it may not be read here; see ``files.locate``.
            MissingData: it does not exist.
        """
        if not self.file:
            raise InvalidValue(f"{self.name}:file", "", f"write it as {self.name}:FILE")
        return data_files.locate(self.file, root, f"{self.name}:file")

    def arrays(self, root: Path) -> cache.Arrays:
        """Return the arrays that ``write`` makes of the file, mapped.

        Raises:
            InvalidValue: the data cannot be trained on; the message says why.
            MissingData: the file is missing or damaged.
        """
        path = self.path(root)
        try:
            files = list(self.made_of(path))
        except OSError as error:
            raise MissingData(f"{path} cannot be read: {error}") from error
        return cache.mapped(files, self.made, lambda to: self.write(path, to))

    @property
    def made(self) -> str:
        """What the arrays depend on beside the file."""
        return f"{self.name} {self.test} {self.seed}"

    def made_of(self, path: Path) -> Iterator[Path]:
        """Yield the files that the data are read from, first the one that was named."""
        yield path

    @abc.abstractmethod
    def write(self, path: Path, folder: Path) -> None:
        """Read the data, check them, and write them with ``write_parts``."""

    def refuse(self, needed: str) -> InvalidValue:
        """Return the error for data that cannot be trained on.

        Args:
            needed: what is needed, and what there is.
        """
        return InvalidValue("dataset", f"{self.name}:{self.file}", needed)


@dataclass(frozen=True)
class Part:
    """Samples with labels as they were read.

    Attributes:
        samples: ``(N, ...)``.
        labels: ``(N,)`` numbers or text; a number that is NaN or an empty text is none.
    """

    samples: Array
    labels: Array


def permit(text: str, root: Path, outside: bool = True) -> str:
    """Permit the file of a data set that the user of this machine named.

    Args:
        text: a data set; other ones than one's own data need no permission.
        root: the data folder.
        outside: whether files outside of the data folder can be used.

    Returns:
        The data set as text, by which this process and those started from here find the file.

    Raises:
        InvalidValue: the text is no data set, or the file is outside and must not be.
        MissingData: there is no such file.
    """
    name, settings = grammar.component(text)
    if settings is None or name not in registry.names():
        return text
    source = registry.parse(text)
    if not isinstance(source, OwnData) or not source.file:
        return text
    found = data_files.permit(source.file, root, f"{name}:file", outside)
    if found == source.file:
        return text
    given = [one for one in settings.split(",") if not one.strip().startswith("file=")]
    rest = [one for one in given if one.strip() != source.file]
    return ",".join([f"{name}:file={found}", *rest])


def write_parts(
    source: OwnData, folder: Path, train: Part, test: Part | None, groups: Array | None = None
) -> None:
    """Check data and write them: samples, labels, names of the classes and, if given, groups.

    Args:
        source: where they come from.
        folder: where to write.
        train: the samples to train on; with ``test`` None all samples.
        test: the samples to test on; None to hold out some of each class.
        groups: ``(N,)`` to whom each sample of ``train`` belongs; None if that is not known.

    Raises:
        InvalidValue: the data cannot be trained on; the message says why.
    """
    parts = (
        {"training part": train} if test is None else {"training part": train, "test part": test}
    )
    if test is None:
        parts = {"data": train}
    labels = {name: _check_part(source, part, name) for name, part in parts.items()}
    if test is not None and train.samples.shape[1:] != test.samples.shape[1:]:
        shapes = f"{train.samples.shape[1:]} to train on and {test.samples.shape[1:]} to test on"
        raise source.refuse(f"samples of one shape; it has samples of {shapes}")
    every = np.concatenate([given.astype(str) for given in labels.values()])
    classes, numbers = np.unique(every, return_inverse=True)
    if all(given.dtype.kind in "iu" for given in labels.values()):
        values = np.unique(np.concatenate(list(labels.values())))
        numbers = np.searchsorted(values, np.concatenate(list(labels.values())))
        classes = values.astype(str)
    if len(classes) < 2:
        raise source.refuse(f"two classes or more; all its samples have the label {classes[0]}")
    numbers = numbers.astype(np.int64)
    if test is None:
        held_out = _held_out(source, numbers, classes)
        kept = np.flatnonzero(~held_out)
        train, test = (
            Part(train.samples[rows], numbers[rows]) for rows in (kept, np.flatnonzero(held_out))
        )
        groups = None if groups is None else groups[kept]
    else:
        train, test = (
            Part(train.samples, numbers[: len(train.labels)]),
            Part(test.samples, numbers[len(train.labels) :]),
        )
    for part, purpose in ((train, "train"), (test, "test")):
        absent = sorted(set(range(len(classes))) - set(part.labels.tolist()))
        if absent:
            names = ", ".join(classes[absent[:5]])
            raise source.refuse(f"samples of each class to {purpose} on; it has none of {names}")
    cache.save(
        folder,
        statistics=_statistics(train.samples),
        train_samples=train.samples,
        train_labels=train.labels,
        test_samples=test.samples,
        test_labels=test.labels,
        classes=np.array([name[:_LONGEST_NAME] for name in classes]),
    )
    if groups is not None:
        cache.save(folder, groups=np.unique(groups, return_inverse=True)[1].astype(np.int64))


def as_dataset(name: str, arrays: cache.Arrays) -> Dataset:
    """Return the data set that ``write_parts`` wrote: pictures or features, as it has them."""
    train, classes = arrays["train_samples"], len(arrays["classes"])
    statistics: Statistics | None = None
    preparation: Preparation = Pictures()
    inputs: Inputs
    if train.ndim == 2:
        inputs, preparation = Features(train.shape[1], classes), Measurements(*arrays["statistics"])
    else:
        channels = 1 if train.ndim == 3 else train.shape[3]
        inputs = Image(channels, train.shape[1], train.shape[2], classes)
        mean, deviation = arrays["statistics"].tolist()
        statistics = (tuple(mean), tuple(deviation))
    return Dataset(
        name,
        train,
        arrays["train_labels"],
        arrays["test_samples"],
        arrays["test_labels"],
        inputs=inputs,
        preparation=preparation,
        class_names=tuple(arrays["classes"].tolist()),
        groups=arrays.get("groups"),
        statistics=statistics,
    )


def _statistics(samples: Array) -> Array:
    """Return ``(2, ..)`` mean and deviation of each channel of pictures, or of each feature."""
    if samples.ndim > 2:
        return np.array(statistics_of(samples))
    return np.array(tuple(vars(Measurements.of(samples)).values()))


def _check_part(source: OwnData, part: Part, name: str) -> Array:
    """Check samples and labels; return the labels as whole numbers or text."""
    samples, labels = part.samples, part.labels
    if len(samples) == 0:
        raise source.refuse(f"samples; its {name} has none: 0 rows")
    if labels.shape != (len(samples),):
        shown = "x".join(map(str, labels.shape))
        raise source.refuse(
            f"one label for each sample; its {name} has {len(samples)} samples and {shown} labels"
        )
    if labels.dtype.kind not in "iufbUS":
        raise source.refuse(f"labels that are whole numbers or text, not {labels.dtype}")
    missing = np.isnan(labels) if labels.dtype.kind == "f" else labels == labels.dtype.type()
    missing = missing if labels.dtype.kind in "fUS" else np.zeros(len(labels), np.bool_)
    if missing.any():
        first = int(np.flatnonzero(missing)[0])
        raise source.refuse(
            f"a label for each sample; in its {name} {missing.sum()} of {len(labels)} have none, "
            f"the first in row {first}"
        )
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        rows = np.flatnonzero(~np.isfinite(samples.reshape(len(samples), -1)).all(axis=1))
        raise source.refuse(
            f"finite values; in its {name} {len(rows)} of {len(samples)} samples have NaN or "
            f"infinite ones, the first in row {rows[0]}"
        )
    if labels.dtype.kind in "fb":
        whole = labels.astype(np.int64)
        if (whole != labels).any():
            raise source.refuse(
                f"labels that are whole numbers or text; one is {labels[whole != labels][0]}"
            )
        return whole
    return labels.astype(np.int64) if labels.dtype.kind in "iu" else labels.astype(str)


def _held_out(source: OwnData, labels: Array, classes: Array) -> npt.NDArray[np.bool_]:
    """Return ``(N,)`` which samples are tested on: a share of each class, one or more of each."""
    from fedsiege import seeding  # late: it imports torch

    random = seeding.generator(source.seed, "held-out samples")
    chosen = np.zeros(len(labels), np.bool_)
    for label, name in enumerate(classes):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 2:
            raise source.refuse(
                f"two samples or more of each class, one to train on and one to test on; of {name} "
                "it has 1"
            )
        count = min(max(1, round(source.test * len(rows))), len(rows) - 1)
        chosen[random.choice(rows, count, replace=False)] = True
    return chosen
