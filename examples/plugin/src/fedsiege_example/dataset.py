"""A data set that needs no download."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from fedsiege.datasets import Dataset, DatasetSource
from fedsiege.inputs import Image

_CLASSES = 10


@dataclass(frozen=True)
class Spots(DatasetSource):
    """Draw a bright spot at the place of the class, on a circle of ten, in a grey noise.

    Each process of a run reads the data set for itself, so it must be the same every time: all of
    it comes from one seed.

    Source:
        An example of FedSiege.
    """

    name: ClassVar[str] = "spots"
    summary: ClassVar[str] = "bright spots in noise, 2,000 + 500 images"

    noise: Annotated[float, Ge(0), Le(1), "standard deviation of the noise, 1 for white"] = 0.2

    @property
    def inputs(self) -> Image:
        """Grey pictures of 28x28 in ten classes."""
        return Image(channels=1, height=28, width=28, classes=_CLASSES)

    def read(self, root: Path) -> Dataset:
        """Return the data set; nothing is read from ``root``, the folder of the data sets."""
        random = np.random.default_rng(0)
        train, test = self._part(random, 2_000), self._part(random, 500)
        return Dataset(self.name, *train, *test, inputs=self.inputs)

    def _part(
        self, random: np.random.Generator, count: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return ``(count, 28, 28)`` images, 0 black to 255 white, and their labels."""
        labels = np.arange(count, dtype=np.int64) % _CLASSES
        angle = 2 * np.pi * labels / _CLASSES
        row, column = 14 + 9 * np.sin(angle), 14 + 9 * np.cos(angle)
        rows, columns = np.mgrid[:28, :28]
        distance = (rows - row[:, None, None]) ** 2 + (columns - column[:, None, None]) ** 2
        images = np.exp(-distance / 8) + self.noise * random.standard_normal((count, 28, 28))
        return (255 * images.clip(0, 1)).astype(np.uint8), labels
