"""IDX files are mapped as they are; a damaged or foreign one is named with what is wrong."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fedsiege.datasets import idx
from fedsiege.errors import MissingData

ARRAY = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)


@pytest.fixture
def file(tmp_path: Path, write_idx: Callable[[Path, npt.NDArray[np.uint8]], None]) -> Path:
    write_idx(tmp_path / "images", ARRAY)
    return tmp_path / "images"


def test_an_array_is_read_as_it_was_written(file: Path) -> None:
    array = idx.read(file, dimensions=3)
    assert array.dtype == np.uint8
    assert np.array_equal(array, ARRAY)


def test_the_file_is_mapped_read_only_and_not_copied(file: Path) -> None:
    array = idx.read(file, dimensions=3)
    assert isinstance(array.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: b"", "begins with nothing"),
        (lambda content: content[:9], "cut off in its header, after 9 bytes"),
        (lambda content: content[:-1], "has 45 bytes where its header announces 46"),
        (lambda content: content + b"\0", "has 47 bytes where its header announces 46"),
        (gzip.compress, "begins with 1f 8b"),
        (lambda content: b"<!DOCTYPE html>", "begins with 3c 21 44 4f, not 00 00 08 03"),
        (lambda content: b"\0\0\x0d\3" + content[4:], "begins with 00 00 0d 03"),
        (lambda content: b"\0\0\x08\1" + content[4:], "begins with 00 00 08 01"),
        (lambda content: content[:4] + bytes(12), r"holds nothing: its shape is \(0, 0, 0\)"),
        (lambda content: content[:4] + b"\xff" * 12 + content[16:], "announces 79,228,162,"),
    ],
    ids=["empty", "header", "short", "long", "gzip", "html", "floats", "1-d", "nothing", "huge"],
)
def test_a_damaged_file_is_refused(
    damage: Callable[[bytes], bytes], problem: str, file: Path
) -> None:
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(MissingData, match=f"{file}.*{problem}"):
        idx.read(file, dimensions=3)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="absent cannot be read: No such file"):
        idx.read(tmp_path / "absent", dimensions=3)
