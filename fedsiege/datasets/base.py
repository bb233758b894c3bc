"""Data sets and their sources."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from fedsiege.datasets import download
from fedsiege.datasets.preparation import (
    HALF,
    IMAGENET,
    Pictures,
    Preparation,
    Samples,
    Statistics,
    statistics_of,
)
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.inputs import MNIST_LIKE, Domain, Image, Inputs
from fedsiege.registry import Component, Registry

if TYPE_CHECKING:
    from torch import Tensor

Labels = npt.NDArray[np.int64]

#: Time limit of the download of a named data set, in seconds. MNIST has 11 MB, Fashion-MNIST 30 MB.
DOWNLOAD_LIMIT_S = 600.0


@dataclass(frozen=True)
class Dataset:
    """A data set: a part to train on, and a held-out part to test on.

    Attributes:
        name: the name of its source, such as "mnist".
        train_samples: ``(N, ...)`` as they are stored, read-only: pictures ``(N, H, W)`` or ``(N,
            H, W, C)`` uint8, 0 black to 255 white; features ``(N, F)`` float32; tokens ``(N, L)``,
            whole numbers.
        train_labels: ``(N,)`` int64, 0 to classes - 1.
        test_samples: ``(M, ...)``, of the same shape and type.
        test_labels: ``(M,)`` int64.
        inputs: what a model takes after the preparation, and the number of classes.
        preparation: turns stored samples into that.
        class_names: the names of the classes; empty for their numbers.
        groups: ``(N,)`` int64, to whom each training sample belongs by nature, such as a speaker; 0
            to the number of groups - 1. None where that is not known.
        notes: what results with it must say, a sentence each.
        statistics: of pictures, mean and standard deviation of each channel of the training part,
            where they are known without going through it.
    """

    name: str
    train_samples: Samples = field(repr=False)
    train_labels: Labels = field(repr=False)
    test_samples: Samples = field(repr=False)
    test_labels: Labels = field(repr=False)
    inputs: Inputs = MNIST_LIKE
    preparation: Preparation = field(default=Pictures(), repr=False)
    class_names: tuple[str, ...] = ()
    groups: Labels | None = field(default=None, repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)
    statistics: Statistics | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, arrays: Mapping[str, npt.NDArray[Any]], **more: Any) -> "Dataset":
        """Return a data set of four arrays that are called as the attributes are.

        Args:
            name: the name of its source.
            arrays: train_samples, train_labels, test_samples and test_labels; others are ignored.
            more: further attributes.
        """
        return cls(
            name,
            arrays["train_samples"],
            arrays["train_labels"],
            arrays["test_samples"],
            arrays["test_labels"],
            **more,
        )

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.inputs.classes

    @property
    def domain(self) -> Domain:
        """What a sample is, and the values of black and white."""
        return Domain(self.inputs, *self.preparation.bounds)

    def tensor(self, samples: Samples) -> "Tensor":
        """Return some samples as the models take them: ``(N, *inputs.shape)``, a copy."""
        return self.preparation(samples)


@dataclass(frozen=True)
class Published:
    """A file of a data set, as it was published.

    Attributes:
        file: where it is looked for, in the data folder.
        url: where it can be had; an address, or words.
        md5: its checksum, in hexadecimal digits; of what the address gives.
    """

    file: str
    url: str
    md5: str

    def fetch(self, name: str, root: Path, limit_s: float) -> None:
        """Download it into the data folder, and check its MD5.

        Args:
            name: of the data set, for messages.
            root: the data folder.
            limit_s: the time limit in seconds.

        Raises:
            MissingData: the download failed; the message says why.
        """
        download.fetch(name, self.url, self.md5, Path(self.file), root, limit_s)


def _sources(root: Path, published: tuple[Published, ...]) -> str:
    """Return which files are absent, where they can be had, and their checksums."""
    absent: dict[tuple[str, str], list[str]] = {}
    for one in published:
        if not (root / one.file).is_file():
            absent.setdefault((one.url, one.md5), []).append(str(root / one.file))
    return "; ".join(
        f"{', '.join(files)}, from {url} (MD5 {md5})" for (url, md5), files in absent.items()
    )


@dataclass(frozen=True)
class DatasetSource(Component, abc.ABC):
    """Base of all sources of data sets.

    A source is a frozen dataclass of its parameters that reads a data set, the same at every call
    and on every machine: each process of a federation reads it for itself.
    """

    @property
    def inputs(self) -> Inputs | None:
        """What a model takes of it; None where that is known only when it has been read."""
        return None

    @property
    def published(self) -> tuple[Published, ...]:
        """The files that it is read from; none for what is part of a package."""
        return ()

    def is_here(self, root: Path) -> bool:
        """Return whether all files of the data set are on this machine."""
        return all((root / one.file).is_file() for one in self.published)

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the files into ``root``, in at most ``limit_s`` seconds.

        Raises:
            MissingData: the download failed; the message says why.
        """
        raise MissingData(f"{self.name} is not in {root}/")

    def obtain(self, root: Path, limit_s: float = DOWNLOAD_LIMIT_S) -> None:
        """Download the files if they are not in ``root``.

        Raises:
            MissingData: the download failed; the message says which file was looked for, where it
                can be had, and its checksum.
        """
        if self.is_here(root):
            return
        try:
            self.fetch(root, limit_s)
        except MissingData as error:
            looked = _sources(root, self.published)
            more = f". It is read from {looked}" if looked else ""
            raise MissingData(f"{error}{more}") from None

    @abc.abstractmethod
    def read(self, root: Path) -> Dataset:
        """Return the data set, read from the files in ``root``.

        Raises:
            MissingData: a file is missing or damaged; the message names it.
        """

    def prepare(self, data: Dataset) -> Dataset:
        """Return the data set that was read, prepared as the parameters say."""
        return data


@dataclass(frozen=True)
class PictureSource(DatasetSource):
    """Base of the sources of pictures, which can be changed before a model sees them."""

    size: Annotated[
        int | None, Ge(4), Le(2048), "height and width that pictures are brought to; None: theirs"
    ] = None
    channels: Annotated[
        int | None, Ge(1), Le(3), "channels that pictures are brought to, 1 or 3; None: theirs"
    ] = None
    normalise: Annotated[
        Literal["half", "own", "imagenet"] | None,
        "half or None: -1 black to 1 white; own: by mean and deviation of the training part; "
        "imagenet: by ImageNet's",
    ] = None

    def check_together(self) -> None:
        """Raise InvalidValue for two channels, which no picture has."""
        if self.channels == 2:
            raise InvalidValue(f"{self.name}:channels", self.channels, "1 or 3")

    @property
    def stored(self) -> Image | None:
        """What it reads, before pictures are changed; None where only reading shows it."""
        return None

    @property
    def inputs(self) -> Inputs | None:
        """What it reads, with size and channels as the parameters say."""
        return self._changed(self.stored) if self.stored else None

    def _changed(self, stored: Image) -> Image:
        side = {"height": self.size, "width": self.size} if self.size else {}
        return replace(stored, **side, channels=self.channels or stored.channels)

    def prepare(self, data: Dataset) -> Dataset:
        """Return the data set, its pictures changed and normalised as the parameters say.

        Raises:
            InvalidValue: pictures of neither one nor three channels are to have others.
        """
        stored = data.inputs
        if not isinstance(stored, Image):
            raise TypeError(f"{self.name} reads no pictures")
        changed = self._changed(stored)
        if changed.channels != stored.channels and stored.channels not in (1, 3):
            allowed = f"unset: its pictures have {stored.channels} channels"
            raise InvalidValue(f"{self.name}:channels", self.channels, allowed)
        statistics = HALF
        if self.normalise == "own":
            statistics = data.statistics or statistics_of(data.train_samples)
            if changed.channels == 1 and stored.channels == 3:
                grey = Pictures(((0.0,), (1.0,)), channels=1)(data.train_samples[:10_000])
                statistics = (float(grey.mean()),), (float(grey.std()),)
        elif self.normalise == "imagenet":
            statistics = IMAGENET
            if changed.channels != 3:
                allowed = "3, as ImageNet's pictures have, with normalise=imagenet"
                raise InvalidValue(f"{self.name}:channels", changed.channels, allowed)
        preparation = Pictures(statistics, self.size, self.channels)
        return replace(data, inputs=changed, preparation=preparation)


registry: Registry[DatasetSource] = Registry("dataset", DatasetSource, "fedsiege.datasets")


def names() -> list[str]:
    """Return the names of all data sets in alphabetical order."""
    return registry.names()


def is_here(name: str, root: Path) -> bool:
    """Return whether a data set can be loaded without a download.

    Raises:
        InvalidValue: the name is unknown, or a parameter is not allowed.
    """
    return registry.parse(name).is_here(root)


def load(name: str, root: Path) -> Dataset:
    """Return a data set; it is downloaded first if it is not in ``root``.

    Args:
        name: the data set as text: ``mnist``, ``blobs:noise=0.2``.
        root: the folder of the data sets.

    Raises:
        InvalidValue: the name is unknown, a parameter is not allowed, or what a plug-in reads is no
            data set of such images and classes.
        MissingData: the data set is missing and cannot be downloaded, or a file is damaged.
    """
    source = registry.parse(name)
    source.obtain(root)
    data = source.prepare(source.read(root))
    _check(data, name)
    return data


def _check(data: Dataset, name: str) -> None:
    """Raise InvalidValue unless a data set has the shapes and types that all code relies on."""
    inputs = data.inputs
    for part in ("train", "test"):
        samples, labels = (getattr(data, f"{part}_{kind}") for kind in ("samples", "labels"))
        n = len(labels)
        if n == 0 or (str(labels.dtype), labels.shape) != ("int64", (n,)) or len(samples) != n:
            allowed = "samples with labels (N,) of int64, N above 0; its {} part has {} {} and {}"
            shown = allowed.format(part, labels.dtype, labels.shape, f"{len(samples)} samples")
            raise InvalidValue("dataset", name, shown)
        if labels.min() < 0 or labels.max() >= inputs.classes:
            allowed = f"{inputs.classes} classes, with labels from 0 to {inputs.classes - 1}; it "
            allowed += f"has labels from {labels.min()} to {labels.max()}"
            raise InvalidValue("dataset", name, allowed)
        _check_samples(data, samples, part, name)


def _check_samples(data: Dataset, samples: Samples, part: str, name: str) -> None:
    """Raise InvalidValue unless samples are stored as the data set says that they are."""
    inputs, rule = data.inputs, data.preparation
    kinds = {"image": ("uint8",), "features": ("float32", "float64", "uint8"), "tokens": _WHOLE}
    given = f"{samples.dtype} {samples.shape}"
    if str(samples.dtype) not in kinds[inputs.name]:
        allowed = f"{inputs.words} as {' or '.join(kinds[inputs.name])}"
        raise InvalidValue("dataset", name, f"{allowed}; its {part} part has {given}")
    try:
        made = rule.shape_of(samples.shape[1:])
    except ValueError as error:
        allowed = f"{inputs.words}; its {part} part has {given}: {error}"
        raise InvalidValue("dataset", name, allowed) from error
    if made != inputs.shape:
        allowed = f"{inputs.words}, {inputs.shape}; its {part} part has {given}"
        raise InvalidValue("dataset", name, allowed)


_WHOLE = ("uint8", "int16", "uint16", "int32", "int64")


def inputs_of(name: str) -> Inputs | None:
    """Return what a model takes of a data set; None where that is known only when it is read.

    Raises:
        InvalidValue: the name is unknown, or a parameter is not allowed.
    """
    return registry.parse(name).inputs


def to_tensor(images: npt.NDArray[Any]) -> "Tensor":
    """Return ``(N, 28, 28)`` uint8 as ``(N, 1, 28, 28)`` float32, -1 black to 1 white, a copy."""
    return Pictures()(images)
