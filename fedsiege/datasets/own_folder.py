"""One's own pictures: a folder for each class."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from fedsiege.datasets.base import Dataset, PictureSource, registry
from fedsiege.datasets.own import Array, OwnData, Part, as_dataset, write_parts
from fedsiege.errors import InvalidValue
from fedsiege.inputs import Inputs

_ENDINGS = (".png", ".jpg", ".jpeg")
#: Pillow's modes of pictures without colour.
_GREY = ("1", "L", "LA")
#: What Pillow raises for a file that is no picture or is damaged; OSError with its own subclasses.
_UNREADABLE = (OSError, SyntaxError, ValueError)


@registry.register
@dataclass(frozen=True)
class Folder(OwnData, PictureSource):
    r"""Read pictures, PNG or JPEG, from a folder that has a folder for each class.

    With folders ``train`` and ``test``, the folders of the classes are in both of them; else a
    share of each class is held out. Pictures of different sizes need ``size``, to which each is
    brought when it is read. They are grey if all of them are, else all are read in colour. Files
    with other endings are passed over.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise.

    Source:
        The layout of ``torchvision.datasets.ImageFolder``.
    """

    name = "folder"
    summary = "your own pictures, in a folder for each class"

    file: Annotated[str, "the folder: its name in the data folder, or its path"] = ""
    test: Annotated[float, Gt(0), Lt(1), "share of each class held out, without a test folder"] = (
        0.2
    )
    seed: Annotated[int, Ge(0), "seed of the draw of that share"] = 0

    @property
    def inputs(self) -> Inputs | None:
        """Known only when it has been read."""
        return None

    @property
    def made(self) -> str:
        """What the arrays depend on beside the pictures."""
        return f"{super().made} {self.size}"

    def made_of(self, path: Path) -> Iterator[Path]:
        """Yield the folder, and all pictures in it."""
        if not path.is_dir():
            raise self.refuse("a folder with a folder for each class; it is a file")
        yield path
        yield from sorted(one for one in path.rglob("*") if one.suffix.lower() in _ENDINGS)

    def write(self, path: Path, folder: Path) -> None:
        """Read the pictures, check them and write them."""
        divided = (path / "train").is_dir() and (path / "test").is_dir()
        parts = [path / "train", path / "test"] if divided else [path]
        found = [_pictures(part) for part in parts]
        if not any(found):
            endings = ", ".join(_ENDINGS)
            raise self.refuse(f"pictures ({endings}) in a folder for each class; there are none")
        every = [file for pictures in found for file, _ in pictures]
        heads = {file: self._head(file) for file in every}
        channels = 1 if all(grey for grey, _ in heads.values()) else 3
        sizes = {size: file for file, (_, size) in reversed(heads.items())}
        if len(sizes) > 1 and self.size is None:
            (one, first), (two, second), *_ = sizes.items()
            raise self.refuse(
                f"pictures of one size, or size=PIXELS; {first.relative_to(path)} is "
                f"{one[0]}x{one[1]}, {second.relative_to(path)} {two[0]}x{two[1]}"
            )
        read = [
            Part(
                self._read([file for file, _ in pictures], channels, next(iter(sizes))),
                np.array([name for _, name in pictures], dtype=str),
            )
            for pictures in found
        ]
        write_parts(self, folder, read[0], read[1] if divided else None)

    def _head(self, file: Path) -> tuple[bool, tuple[int, int]]:
        """Return whether a picture is grey, and its width and height."""
        from PIL import Image as Pillow

        try:
            with Pillow.open(file) as opened:
                return opened.mode in _GREY, opened.size
        except _UNREADABLE as error:
            raise self._unreadable(file, error) from error

    def _unreadable(self, file: Path, error: Exception) -> InvalidValue:
        return self.refuse(f"pictures that can be read; {file.name} cannot: {error}")

    def _read(self, pictures: list[Path], channels: int, size: tuple[int, int]) -> Array:
        """Return pictures ``(N, H, W)`` or ``(N, H, W, 3)`` of uint8."""
        from PIL import Image as Pillow

        side = (self.size, self.size) if self.size else size
        shape = (side[1], side[0]) if channels == 1 else (side[1], side[0], 3)
        pixels = np.empty((len(pictures), *shape), np.uint8)
        for row, file in enumerate(pictures):
            try:
                with Pillow.open(file) as opened:
                    picture = opened.convert("L" if channels == 1 else "RGB")
            except _UNREADABLE as error:
                raise self._unreadable(file, error) from error
            if picture.size != side:
                picture = picture.resize(side, Pillow.Resampling.BILINEAR)
            pixels[row] = np.asarray(picture)
        return pixels

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped."""
        return as_dataset(self.name, self.arrays(root))


def _pictures(folder: Path) -> list[tuple[Path, str]]:
    """Return the pictures of a folder, each with its class, in alphabetical order."""
    return [
        (file, group.name)
        for group in sorted(one for one in folder.iterdir() if one.is_dir())
        if not group.name.startswith(".")
        for file in sorted(group.rglob("*"))
        if file.suffix.lower() in _ENDINGS
    ]
