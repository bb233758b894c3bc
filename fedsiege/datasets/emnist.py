"""EMNIST, from IDX files in torchvision's layout."""

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fedsiege.datasets.base import Dataset, PictureSource, Published, registry
from fedsiege.datasets.download import Download
from fedsiege.datasets.mnist import read_part
from fedsiege.inputs import Image

#: Letters whose small and large forms are one class of the balanced split.
_MERGED = "cijklmopsuvwxyz"
_ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CLASSES = {
    "digits": tuple(string.digits),
    "balanced": tuple(one for one in _ALL if one not in _MERGED),
    "byclass": tuple(_ALL),
}
_SOURCE = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
_MD5 = "58c8d27c78d21e728a6bc7b3cc06412e"


@registry.register
@dataclass(frozen=True)
class Emnist(PictureSource):
    r"""Read EMNIST: handwritten digits and letters, grey, 28x28.

    The split ``digits`` has 240,000 digits to train on and 40,000 to test on; ``balanced`` 112,800
    and 18,800 in 47 classes, with 15 letters' small and large forms as one; ``byclass`` 697,932 and
    116,323 in all 62 classes, as unequal as they are written. Rows and columns of the pictures are
    exchanged, as the files have them and as torchvision gives them. A model takes a grey level
    :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says otherwise.

    Source:
        Gregory Cohen, Saeed Afshar, Jonathan Tapson and André van Schaik, `EMNIST: an extension of
        MNIST to handwritten letters <https://arxiv.org/abs/1702.05373>`_, 2017.
    """

    name = "emnist"
    summary = "handwritten digits, or digits and letters: 280,000 to 814,255"

    split: Annotated[
        Literal["digits", "balanced", "byclass"],
        "digits: 10 classes; balanced: 47 classes of digits and letters; byclass: all 62",
    ] = "digits"

    @property
    def stored(self) -> Image:
        """Grey pictures of 28x28."""
        return Image(classes=len(_CLASSES[self.split]))

    @property
    def published(self) -> tuple[Published, ...]:
        """Four files of one archive."""
        return tuple(Published(f"EMNIST/{file}", _SOURCE, _MD5) for file in self._files)

    @property
    def _files(self) -> tuple[Path, ...]:
        return tuple(
            Path("raw", f"emnist-{self.split}-{part}-{kind}-ubyte")
            for part in ("train", "test")
            for kind in ("images-idx3", "labels-idx1")
        )

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the files of the split; the archive holds those of all."""
        download = Download("EMNIST", "EMNIST", self._files, (_SOURCE,), parts=(self.split,))
        download.into(root, limit_s)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the four files."""
        raw = root / "EMNIST" / "raw"
        parts = [
            read_part(raw, f"emnist-{self.split}-{part}", self.stored.classes)
            for part in ("train", "test")
        ]
        return Dataset(
            self.name, *parts[0], *parts[1], self.stored, class_names=_CLASSES[self.split]
        )
