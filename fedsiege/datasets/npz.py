"""Files of arrays: ``.npz``, the archives of numpy."""

import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedsiege.errors import MissingData


def unpack(file: Path, folder: Path, names: Sequence[str]) -> None:
    """Unpack arrays of an archive into a folder, as ``NAME.npy``, without holding one in memory.

    Raises:
        MissingData: it is no such archive, an array is missing, or one holds Python objects, which
            are not read.
    """
    there = array_names(file)
    if missing := [name for name in names if name not in there]:
        raise MissingData(
            f"{file} has no {', '.join(missing)}; it has {', '.join(there) or 'nothing'}"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            for name in names:
                target = folder / f"{name}.npy"
                with archive.open(f"{name}.npy") as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 2**20)
                np.load(target, mmap_mode="r", allow_pickle=False)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise MissingData(f"{file} is damaged or holds no plain arrays: {error}") from error


def array_names(file: Path) -> list[str]:
    """Return the names of the arrays of an archive.

    Raises:
        MissingData: it cannot be read or is no archive.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return [one.removesuffix(".npy") for one in archive.namelist() if one.endswith(".npy")]
    except (zipfile.BadZipFile, OSError) as error:
        raise MissingData(f"{file} cannot be read as .npz: {error}") from error
