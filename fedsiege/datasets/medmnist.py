"""The bases of the MedMNIST family, and of other sets in its layout: one ``.npz`` for all parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from fedsiege.datasets import cache
from fedsiege.datasets.base import Dataset, PictureSource, Published
from fedsiege.datasets.npz import unpack
from fedsiege.datasets.preparation import statistics_of
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.inputs import Image

_RECORD = "https://zenodo.org/records/10519652/files"


class NpzPictures(PictureSource):
    """Pictures of a named set in MedMNIST's layout.

    ``train_images`` and ``test_images`` are ``(N, H, W)`` or ``(N, H, W, 3)`` uint8, and
    ``train_labels`` and ``test_labels`` are ``(N, 1)``. A part for validation is not used: it is
    neither trained on nor tested on.

    Attributes:
        class_names: the names of the classes.
        notes: what results with it must say.
    """

    class_names: ClassVar[tuple[str, ...]]
    notes: ClassVar[tuple[str, ...]] = ()

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the arrays of its file."""
        (published,) = self.published
        file = root / published.file
        arrays = cache.mapped([file], "pictures with labels", lambda folder: _write(file, folder))
        stored = self.stored
        for part in ("train", "test"):
            images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
            given = images.shape[1:]
            if given != _shape(stored):
                raise MissingData(f"{file} has pictures of {given}, not {_shape(stored)}")
            if labels.min() < 0 or labels.max() >= stored.classes:
                raise MissingData(
                    f"{file} has labels from {labels.min()} to {labels.max()}; "
                    f"0 to {stored.classes - 1} are possible"
                )
        mean, deviation = arrays["statistics"].tolist()
        return Dataset(
            self.name,
            arrays["train_images"],
            arrays["train_labels"],
            arrays["test_images"],
            arrays["test_labels"],
            inputs=stored,
            class_names=self.class_names,
            notes=self.notes,
            statistics=(tuple(mean), tuple(deviation)),
        )

    @property
    def stored(self) -> Image:
        """What the file holds."""
        raise NotImplementedError


def _shape(stored: Image) -> tuple[int, ...]:
    """Return the shape in which a picture is stored."""
    sides = (stored.height, stored.width)
    return sides if stored.channels == 1 else (*sides, stored.channels)


def _write(file: Path, folder: Path) -> None:
    """Unpack a file and check its labels.

    Raises:
        MissingData: it is damaged, or its parts do not fit each other.
    """
    unpack(file, folder, ("train_images", "train_labels", "test_images", "test_labels"))
    for part in ("train", "test"):
        images, labels = (
            np.load(folder / f"{part}_{kind}.npy", mmap_mode="r") for kind in ("images", "labels")
        )
        if images.dtype != np.uint8:
            raise MissingData(f"{file} has pictures of {images.dtype}, not uint8")
        if labels.ndim > 2 or labels.size != len(labels) or len(labels) != len(images):
            raise MissingData(
                f"{file} has {len(images)} pictures and labels {labels.shape} in its part {part}: "
                "it must have one label for each"
            )
        cache.save(folder, **{f"{part}_labels": labels.reshape(-1).astype(np.int64)})
        if part == "train":
            cache.save(folder, statistics=np.array(statistics_of(images)))


@dataclass(frozen=True)
class MedMnist(NpzPictures):
    """Base of the 2-D sets of MedMNIST."""

    resolution: Annotated[
        int, Ge(28), Le(224), "height and width of the published pictures that are read"
    ] = 28

    #: Channels of the pictures.
    colours: ClassVar[int] = 1
    #: MD5 of the published file by resolution.
    md5: ClassVar[dict[int, str]]

    def check_together(self) -> None:
        """Raise InvalidValue for a resolution that was not published."""
        super().check_together()
        if self.resolution not in self.md5:
            allowed = ", ".join(map(str, self.md5))
            raise InvalidValue(f"{self.name}:resolution", self.resolution, allowed)

    @property
    def stored(self) -> Image:
        """Grey or colour pictures of the resolution."""
        return Image(self.colours, self.resolution, self.resolution, len(self.class_names))

    @property
    def published(self) -> tuple[Published, ...]:
        """One file for each resolution."""
        size = "" if self.resolution == 28 else f"_{self.resolution}"
        file = f"{self.name}{size}.npz"
        url = f"{_RECORD}/{file}?download=1"
        return (Published(f"medmnist/{file}", url, self.md5[self.resolution]),)

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the file."""
        self.published[0].fetch(self.name, root, limit_s)
