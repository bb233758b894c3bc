"""Small data sets in MNIST's format, written by the tests."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

#: Writes an array of bytes as an IDX file.
Write = Callable[[Path, npt.NDArray[np.uint8]], None]


def _write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.tobytes())


@pytest.fixture
def write_idx() -> Write:
    return _write_idx


@pytest.fixture
def write_mnist() -> Callable[[Path], None]:
    """Write the four files of a data set of 30 + 12 images into a folder."""

    def write(raw: Path) -> None:
        rng = np.random.default_rng(0)
        for part, count in (("train", 30), ("t10k", 12)):
            images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            _write_idx(raw / f"{part}-images-idx3-ubyte", images)
            _write_idx(raw / f"{part}-labels-idx1-ubyte", labels)

    return write


@pytest.fixture
def root(tmp_path: Path, write_mnist: Callable[[Path], None]) -> Path:
    """A folder of data sets that holds small ones under the names of MNIST and Fashion-MNIST."""
    for folder in ("MNIST", "FashionMNIST"):
        write_mnist(tmp_path / "data" / folder / "raw")
    return tmp_path / "data"
