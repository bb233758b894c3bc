"""Data sets, their sources, and images as tensors."""

import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fedsiege.errors import InvalidValue
from fedsiege.registry import Component, Registry

if TYPE_CHECKING:
    from torch import Tensor

#: Time limit of the download of a named data set, in seconds. MNIST has 11 MB, Fashion-MNIST 30 MB.
DOWNLOAD_LIMIT_S = 600.0


#: The shape of an image, and the number of classes, of every data set.
SHAPE, CLASSES = (28, 28), 10


@dataclass(frozen=True)
class Dataset:
    """A data set: a part to train on, and a held-out part to test on.

    Attributes:
        name: the name of its source, such as "mnist".
        train_images: ``(N, 28, 28)`` uint8, 0 black to 255 white, read-only.
        train_labels: ``(N,)`` int64, 0 to classes - 1.
        test_images: ``(M, 28, 28)`` uint8, read-only.
        test_labels: ``(M,)`` int64.
        classes: the number of classes.
    """

    name: str
    train_images: npt.NDArray[np.uint8] = field(repr=False)
    train_labels: npt.NDArray[np.int64] = field(repr=False)
    test_images: npt.NDArray[np.uint8] = field(repr=False)
    test_labels: npt.NDArray[np.int64] = field(repr=False)
    classes: int = 10


@dataclass(frozen=True)
class DatasetSource(Component, abc.ABC):
    """Base of all sources of data sets.

    A source is a frozen dataclass of its parameters that reads a data set, the same at every call
    and on every machine: each process of a federation reads it for itself.
    """

    def is_here(self, root: Path) -> bool:
        """Return whether all files of the data set are on this machine."""
        return True

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the files into ``root``, in at most ``limit_s`` seconds.

        Raises:
            MissingData: the download failed; the message says why.
        """

    @abc.abstractmethod
    def read(self, root: Path) -> Dataset:
        """Return the data set, read from the files in ``root``.

        Raises:
            MissingData: a file is missing or damaged; the message names it.
        """


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
    if not source.is_here(root):
        source.fetch(root, DOWNLOAD_LIMIT_S)
    data = source.read(root)
    _check(data, name)
    return data


def _check(data: Dataset, name: str) -> None:
    """Raise InvalidValue unless a data set has the shapes and types that all code relies on."""
    wanted = f"images (N, {SHAPE[0]}, {SHAPE[1]}) of uint8 with labels (N,) of int64, N above 0"
    for part in ("train", "test"):
        images, labels = (getattr(data, f"{part}_{kind}") for kind in ("images", "labels"))
        found = [(str(array.dtype), array.shape) for array in (images, labels)]
        n = len(labels)
        if found != [("uint8", (n, *SHAPE)), ("int64", (n,))] or n == 0:
            shown = " and ".join(f"{dtype} {shape}" for dtype, shape in found)
            raise InvalidValue("dataset", name, f"{wanted}; its {part} part has {shown}")
        if labels.min() < 0 or labels.max() >= CLASSES or data.classes != CLASSES:
            allowed = f"{CLASSES} classes, with labels from 0 to {CLASSES - 1}; it has "
            allowed += f"{data.classes} and labels from {labels.min()} to {labels.max()}"
            raise InvalidValue("dataset", name, allowed)


def to_tensor(images: npt.NDArray[Any]) -> "Tensor":
    """Return images as the models take them: ``(x / 255 - 0.5) / 0.5``, -1 black to 1 white.

    Bit-identical to torchvision's ``ToTensor`` and ``Normalize(0.5, 0.5)``.

    Args:
        images: ``(N, 28, 28)`` uint8.

    Returns:
        ``(N, 1, 28, 28)`` float32, a copy.
    """
    import torch  # late: choosing a data set does not need it

    pixels = torch.from_numpy(images.astype(np.float32)).unsqueeze(1)
    return pixels.div_(255).sub_(0.5).div_(0.5)
