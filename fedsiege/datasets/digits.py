"""The handwritten digits in scikit-learn, as 28x28 images; they need no download."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedsiege.datasets.base import Dataset, PictureSource, registry
from fedsiege.errors import MissingData
from fedsiege.inputs import MNIST_LIKE, Image

_SIDE = 8  # of the originals
_LEVELS = 16  # their grey levels are 0 to 16
_BOX = 20  # MNIST too puts its digits into a box of 20x20 in the middle of 28x28
_FRAME = 28


@registry.register
@dataclass(frozen=True)
class Digits(PictureSource):
    r"""Read 1,797 digits by 13 writers, 8x8 pixels, 17 grey levels, from scikit-learn.

    They are enlarged to 20x20 by bilinear interpolation and centred in 28x28, as in MNIST. Without
    the black margin, 1 of 20 initialisations of ``net`` had a dead filter and stayed at 10 %; with
    it, none did. A model takes a pixel of grey level :math:`p` as:

    .. math::

        x = \frac{p / 255 - 0.5}{0.5}, \qquad p = 0, \ldots, 255

    Every fifth image of each class, in the order of the file, is held out: 1,442 images to train on
    and 355 to test on. Each writer is in both parts.

    Source:
        Ethem Alpaydin and Cenk Kaynak, `Optical Recognition of Handwritten Digits
        <https://doi.org/10.24432/C50P49>`_, UCI Machine Learning Repository, 1998 (its test part).
    """

    name = "digits"
    summary = "1,797 real handwritten digits from scikit-learn"

    @property
    def stored(self) -> Image:
        """Grey pictures of 28x28 in ten classes."""
        return MNIST_LIKE

    def read(self, root: Path) -> Dataset:
        """Return the digits, read from the installed scikit-learn; ``root`` is not used."""
        # Not through sklearn.datasets: its import takes 0.85 s in every process, this 0.02 s.
        table = np.loadtxt(packaged("digits.csv.gz"), delimiter=",", dtype=np.uint8)
        images = enlarge(table[:, :-1].reshape(-1, _SIDE, _SIDE))
        labels = table[:, -1].astype(np.int64)
        test = held_out(labels)
        train_images, test_images = images[~test], images[test]
        train_images.flags.writeable = test_images.flags.writeable = False
        return Dataset(self.name, train_images, labels[~test], test_images, labels[test])


def enlarge(originals: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return images ``(N, 8, 8)`` of grey levels 0 to 16 enlarged to ``(N, 28, 28)`` of 0 to 255.

    In tenths of a pixel all weights are whole numbers, so the result is the same on every machine.
    """
    # Output pixel i samples the input at (i + 0.5) * 8/20 - 0.5 = (4i - 3) / 10, within the edges.
    tenths = np.clip(4 * np.arange(_BOX) - 3, 0, 10 * (_SIDE - 1))
    pixels = 10 * np.arange(_SIDE)
    weights = np.maximum(0, 10 - np.abs(tenths[:, None] - pixels)).astype(np.float64)
    hundredfold = (weights @ originals @ weights.T).astype(np.int64)
    boxes = (2 * 255 * hundredfold + 100 * _LEVELS) // (2 * 100 * _LEVELS)  # rounded, halves up
    images = np.zeros((len(originals), _FRAME, _FRAME), np.uint8)
    margin = (_FRAME - _BOX) // 2
    images[:, margin:-margin, margin:-margin] = boxes
    return images


def held_out(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return ``(N,)`` bool: the samples of the test part, every fifth of each class."""
    test = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[4::5]] = True
    return test


def packaged(name: str) -> Path:
    """Return the path of a data file of scikit-learn, found without importing scikit-learn.

    Raises:
        MissingData: it is not installed, or without this file.
    """
    package = importlib.util.find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", name)
        if path.is_file():
            return path
    raise MissingData(f"scikit-learn with its file datasets/data/{name} is not installed")
