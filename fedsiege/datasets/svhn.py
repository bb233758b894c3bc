"""SVHN, from the files of its authors in torchvision's layout."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedsiege.datasets import cache
from fedsiege.datasets.base import Dataset, PictureSource, Published, registry
from fedsiege.datasets.download import Download
from fedsiege.datasets.preparation import statistics_of
from fedsiege.errors import MissingData
from fedsiege.inputs import Image

_ADDRESS = "http://ufldl.stanford.edu/housenumbers/"
_FILES = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}


@registry.register
@dataclass(frozen=True)
class Svhn(PictureSource):
    r"""Read SVHN: 73,257 digits of house numbers to train on and 26,032 to test on.

    They are colour photographs of 32x32, cropped around a digit. The 531,131 easier ones of its
    part ``extra`` are not used. A model takes a grey level :math:`p` as
    :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says otherwise.

    Source:
        Yuval Netzer, Tao Wang, Adam Coates, Alessandro Bissacco, Bo Wu and Andrew Ng, Reading
        Digits in Natural Images with Unsupervised Feature Learning, NIPS Workshop on Deep Learning
        and Unsupervised Feature Learning 2011.
    """

    name = "svhn"
    summary = "99,289 digits of house numbers, in colour"

    @property
    def stored(self) -> Image:
        """Colour pictures of 32x32."""
        return Image(3, 32, 32, 10)

    @property
    def published(self) -> tuple[Published, ...]:
        """Two files."""
        return tuple(Published(file, f"{_ADDRESS}{file}", md5) for file, md5 in _FILES.items())

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the two files."""
        files = tuple(map(Path, _FILES))
        download = Download("SVHN", "SVHN", files, (_ADDRESS,), "", ("train", "test"))
        download.into(root, limit_s)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the arrays of its files."""
        files = [root / file for file in _FILES]
        arrays = cache.mapped(files, self.name, lambda folder: _write(files, folder))
        mean, deviation = arrays["statistics"].tolist()
        return Dataset.of(
            self.name,
            arrays,
            inputs=self.stored,
            class_names=tuple("0123456789"),
            statistics=(tuple(mean), tuple(deviation)),
        )


def _write(files: list[Path], folder: Path) -> None:
    """Read the files, check them and write their arrays."""
    # Late: the cached arrays do not need it.
    from scipy.io import loadmat  # type: ignore[import-untyped]

    for part, file in zip(("train", "test"), files, strict=True):
        try:
            content = loadmat(file, variable_names=("X", "y"))
            pictures = np.transpose(content["X"], (3, 0, 1, 2))  # from (H, W, C, N)
            labels = content["y"].reshape(-1).astype(np.int64)
        except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
            raise MissingData(f"{file} cannot be read as a file of SVHN: {error}") from error
        shown = f"{pictures.dtype} {pictures.shape}"
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (32, 32, 3):
            raise MissingData(f"{file} has pictures {shown}, not uint8 (N, 32, 32, 3)")
        if len(labels) != len(pictures) or labels.min() < 1 or labels.max() > 10:
            raise MissingData(
                f"{file} has {len(pictures)} pictures and {len(labels)} labels "
                f"from {labels.min()} to {labels.max()}; 1 to 10 are possible"
            )
        labels[labels == 10] = 0  # as the files call the digit 0
        cache.save(folder, **{f"{part}_samples": np.ascontiguousarray(pictures)})
        cache.save(folder, **{f"{part}_labels": labels})
        if part == "train":
            cache.save(folder, statistics=np.array(statistics_of(pictures)))
