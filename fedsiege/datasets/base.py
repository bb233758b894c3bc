"""Data sets, their sources, and images as tensors."""

import abc
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fedsiege.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

#: Time limit of the download of a named data set, in seconds. MNIST has 11 MB, Fashion-MNIST 30 MB.
DOWNLOAD_LIMIT_S = 600.0


@dataclass(frozen=True)
class Dataset:
    """A data set: a part to train on, and a held-out part to test on.

    Attributes:
        name: "mnist", "fashion" or "digits".
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


class Source(abc.ABC):
    """Base of all sources of data sets.

    Attributes:
        name: the name by which users select it.
        summary: one line for listings.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def is_here(self, root: Path) -> bool:
        """Return whether all files of the data set are on this machine."""
        return True

    def fetch(self, root: Path, limit_s: float) -> None:  # noqa: B027 - not all need it
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


registry: Registry[Source] = Registry("dataset")


def names() -> list[str]:
    """Return the names of all data sets in alphabetical order."""
    return registry.names()


def is_here(name: str, root: Path) -> bool:
    """Return whether a data set can be loaded without a download.

    Raises:
        InvalidValue: the name is unknown.
    """
    return registry.create(name).is_here(root)


def load(name: str, root: Path) -> Dataset:
    """Return a data set; it is downloaded first if it is not in ``root``.

    Args:
        name: "mnist", "fashion" or "digits".
        root: the folder of the data sets.

    Raises:
        InvalidValue: the name is unknown.
        MissingData: the data set is missing and cannot be downloaded, or a file is damaged.
    """
    source = registry.create(name)
    if not source.is_here(root):
        source.fetch(root, DOWNLOAD_LIMIT_S)
    return source.read(root)


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
