"""Data sets as arrays in memory that all processes of a machine share.

A compressed or foreign file is converted once, into files of one array each. These are mapped, so
that fifty workers hold one copy. They lie beside the data or, where that folder cannot be written,
in the user's cache folder.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedsiege.errors import MissingData

log = logging.getLogger(__name__)

Arrays = dict[str, npt.NDArray[Any]]
#: Changes whenever the arrays that are made of the same file change.
_VERSION = 1
_FOLDER = ".fedsiege-cache"
#: Versions of the arrays of a file that are kept, the latest: callers of a served federation choose
#: how a file is divided, and must not fill the disk.
_KEPT = 8


def mapped(files: Sequence[Path], made: str, write: Callable[[Path], None]) -> Arrays:
    """Return the arrays that are made of some files, mapped read-only.

    Args:
        files: what they are made of; the first one gives their folder its name.
        made: what else they depend on, such as how the samples are split.
        write: writes them into a folder as ``NAME.npy``. It is called in one process at a time, and
            not again while the files are unchanged. What it raises is passed on.

    Raises:
        MissingData: a file cannot be read, or there is no place for the arrays.
    """
    name = f"{files[0].stem}-{_fingerprint(files, made)}"
    folders = _folders(files[0], name)
    for folder in folders:
        if folder.is_dir():
            return _read(folder)
    for folder in folders:
        if not _writable(folder.parent):
            continue
        with _locked(folder.parent):
            if not folder.is_dir():
                _write(folder, files[0], write)
                _remove_oldest(folder.parent, files[0].stem)
            return _read(folder)
    log.warning("%s is unpacked for this process alone: no folder can be written", files[0])
    with tempfile.TemporaryDirectory(prefix="fedsiege-") as alone:
        _write(Path(alone, name), files[0], write)
        return _read(Path(alone, name))  # what is mapped stays when the files are removed


def save(folder: Path, **arrays: npt.NDArray[Any]) -> None:
    """Write arrays into a folder, as ``mapped`` reads them."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def _fingerprint(files: Sequence[Path], made: str) -> str:
    """Return a digest of names, sizes and times of files; their contents would take too long."""
    digest = hashlib.sha256(f"{_VERSION} {made}".encode())
    for file in files:
        try:
            status = file.stat()
        except OSError as error:
            raise MissingData(f"{file} cannot be read: {error.strerror}") from None
        digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _folders(file: Path, name: str) -> list[Path]:
    """Return where the arrays of a file may lie, the preferred folder first."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fedsiege"
    where = hashlib.sha256(str(file.parent.resolve()).encode()).hexdigest()[:8]
    return [file.parent / _FOLDER / name, cache / f"{name}-{where}"]


def _writable(place: Path) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Let one process at a time write into a place."""
    with (place / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(folder: Path, file: Path, write: Callable[[Path], None]) -> None:
    """Write the arrays under another name and rename them, so that they are there all or none."""
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        write(unfinished)
        unfinished.chmod(0o755)  # workers in containers have other users
        unfinished.rename(folder)
    except OSError as error:
        raise MissingData(f"{file} cannot be unpacked into {folder.parent}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _remove_oldest(place: Path, stem: str) -> None:
    """Keep the latest arrays of a file; what a process has mapped stays until it ends."""
    digits = "-" + "[0-9a-f]" * 16
    made = [path for path in place.iterdir() if fnmatchcase(path.name, f"{escape(stem)}{digits}*")]
    for old in sorted(made, key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _read(folder: Path) -> Arrays:
    """Return the arrays of a folder, mapped."""
    return {
        path.stem: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        for path in folder.glob("*.npy")
    }
