"""MNIST and Fashion-MNIST, from IDX files in torchvision's layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedsiege.datasets import idx
from fedsiege.datasets.base import Dataset, PictureSource, registry
from fedsiege.datasets.download import Download
from fedsiege.errors import MissingData
from fedsiege.inputs import MNIST_LIKE, Image

_FILES = tuple(
    Path("raw", f"{part}-{kind}-ubyte")
    for part in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)


class MnistLike(PictureSource):
    """A data set of 28x28 images in four files, in ``<root>/<torchvision's class>/raw``.

    Attributes:
        download: the download of its files.
    """

    download: ClassVar[Download]

    @property
    def stored(self) -> Image:
        """Grey pictures of 28x28 in ten classes."""
        return MNIST_LIKE

    def is_here(self, root: Path) -> bool:
        """Return whether all four files exist."""
        folder = root / self.download.class_name
        return all((folder / file).is_file() for file in self.download.files)

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the four files."""
        self.download.into(root, limit_s)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the four files."""
        raw = root / self.download.class_name / "raw"
        return Dataset(self.name, *_read_part(raw, "train"), *_read_part(raw, "t10k"))


@registry.register
@dataclass(frozen=True)
class Mnist(MnistLike):
    r"""Read MNIST: 60,000 handwritten digits to train on and 10,000 to test on.

    The images have 28x28 pixels. A model takes a pixel of grey level :math:`p` as:

    .. math::

        x = \frac{p / 255 - 0.5}{0.5}, \qquad p = 0, \ldots, 255

    Source:
        Yann LeCun, Corinna Cortes and Christopher J. C. Burges, The MNIST database of handwritten
        digits, 1998; described in Yann LeCun, Léon Bottou, Yoshua Bengio and Patrick Haffner,
        `Gradient-Based Learning Applied to Document Recognition
        <https://doi.org/10.1109/5.726791>`_, Proceedings of the IEEE 86(11), 1998, section III.A.
    """

    name = "mnist"
    summary = "70,000 handwritten digits"
    download = Download(
        "MNIST",
        "MNIST",
        _FILES,
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    )


@registry.register
@dataclass(frozen=True)
class Fashion(MnistLike):
    r"""Read Fashion-MNIST: 60,000 articles of clothing to train on and 10,000 to test on.

    The images have 28x28 pixels, in the ten classes and the format of MNIST. A model takes a pixel
    of grey level :math:`p` as:

    .. math::

        x = \frac{p / 255 - 0.5}{0.5}, \qquad p = 0, \ldots, 255

    Source:
        Han Xiao, Kashif Rasul and Roland Vollgraf, `Fashion-MNIST: a Novel Image Dataset for
        Benchmarking Machine Learning Algorithms <https://arxiv.org/abs/1708.07747>`_, arXiv 2017.
    """

    name = "fashion"
    summary = "70,000 articles of clothing"
    download = Download(
        "Fashion-MNIST",
        "FashionMNIST",
        _FILES,
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    )


def _read_part(raw: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the images and labels of one part; raise MissingData if they do not match."""
    image_path, label_path = raw / f"{part}-images-idx3-ubyte", raw / f"{part}-labels-idx1-ubyte"
    images = idx.read(image_path, dimensions=3)
    labels = idx.read(label_path, dimensions=1).astype(np.int64)
    if images.shape[1:] != (28, 28):
        raise MissingData(f"{image_path} holds images of {images.shape[1:]}, not (28, 28)")
    if len(images) != len(labels):
        raise MissingData(
            f"{image_path} holds {len(images):,} images, {label_path.name} {len(labels):,} labels"
        )
    if labels.max() >= MNIST_LIKE.classes:
        raise MissingData(f"{label_path} holds the label {labels.max()}; 0 to 9 are possible")
    return images, labels
