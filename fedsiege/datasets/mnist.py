"""MNIST and Fashion-MNIST, from IDX files in torchvision's layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedsiege.datasets import idx
from fedsiege.datasets.base import Dataset, PictureSource, Published, registry
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
        md5: MD5 of the published files, which are compressed, in the order of ``download.files``.
        class_names: the names of the classes; empty for their numbers.
    """

    download: ClassVar[Download]
    md5: ClassVar[tuple[str, ...]] = ()
    class_names: ClassVar[tuple[str, ...]] = ()

    @property
    def stored(self) -> Image:
        """Grey pictures of 28x28 in ten classes."""
        return MNIST_LIKE

    @property
    def published(self) -> tuple[Published, ...]:
        """Four files."""
        return tuple(
            Published(
                f"{self.download.class_name}/{file}",
                f"{self.download.mirrors[0]}{file.name}.gz",
                md5,
            )
            for file, md5 in zip(self.download.files, self.md5, strict=True)
        )

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the four files."""
        self.download.into(root, limit_s)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the four files."""
        raw = root / self.download.class_name / "raw"
        train, test = (read_part(raw, part, self.stored.classes) for part in ("train", "t10k"))
        return Dataset(self.name, *train, *test, class_names=self.class_names)


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
    md5 = (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
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
    md5 = (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    )
    class_names = (
        "T-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    )


def read_part(
    raw: Path, part: str, classes: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the images and labels of one part.

    Raises:
        MissingData: a file is damaged, or they do not match.
    """
    image_path, label_path = raw / f"{part}-images-idx3-ubyte", raw / f"{part}-labels-idx1-ubyte"
    images = idx.read(image_path, dimensions=3)
    labels = idx.read(label_path, dimensions=1).astype(np.int64)
    if images.shape[1:] != (28, 28):
        raise MissingData(f"{image_path} holds images of {images.shape[1:]}, not (28, 28)")
    if len(images) != len(labels):
        raise MissingData(
            f"{image_path} holds {len(images):,} images, {label_path.name} {len(labels):,} labels"
        )
    if labels.max() >= classes:
        possible = f"0 to {classes - 1} are possible"
        raise MissingData(f"{label_path} holds the label {labels.max()}; {possible}")
    return images, labels
