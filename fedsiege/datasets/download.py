"""The download of a data set, in a process of its own with a time limit.

Name look-ups and sockets cannot be interrupted within a process, and the import of torchvision,
which downloads some of the sets, takes a second and 85 MB.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedsiege.errors import MissingData


@dataclass(frozen=True)
class Download:
    """A data set that torchvision can download.

    Attributes:
        title: its name in messages.
        class_name: the class in ``torchvision.datasets``; also the folder that it writes to.
        files: the files to keep, relative to that folder.
        mirrors: addresses; one must answer before torchvision is imported.
        folder: the folder that it writes to, where that is not called as the class.
        parts: parts of the data set, as the class calls them; it is called for each.
    """

    title: str
    class_name: str
    files: tuple[Path, ...]
    mirrors: tuple[str, ...]
    folder: str | None = None
    parts: tuple[str, ...] = ()

    def into(self, root: Path, limit_s: float) -> None:
        """Download the files into a folder.

        They are downloaded into a temporary folder inside ``root`` and then moved, so that an
        aborted download never looks complete.

        Args:
            root: the folder of the data sets; created if it does not exist.
            limit_s: the time limit in seconds, after which the process is killed.

        Raises:
            MissingData: no network, no permission to write, out of time, or a file is missing.
        """
        name = ":".join((self.class_name, *self.parts))
        folder = self.class_name if self.folder is None else self.folder
        problem = _into(
            root,
            [Path(folder) / file for file in self.files],
            lambda there: _run(
                "torchvision_download", limit_s, name, str(there), str(limit_s), *self.mirrors
            ),
        )
        if problem is not None:
            raise MissingData(
                f"{self.title} is not in {root}/ and could not be downloaded {problem}"
            )


def fetch(title: str, url: str, md5: str, file: Path, root: Path, limit_s: float) -> None:
    """Download one file, and check its MD5.

    Args:
        title: the name of the data set in messages.
        url: its address.
        md5: its checksum, in hexadecimal digits.
        file: where it is put, in the data folder.
        root: the data folder; created if it does not exist.
        limit_s: the time limit in seconds.

    Raises:
        MissingData: no network, no permission to write, out of time, or another file came.
    """

    def run(there: Path) -> str | None:
        (there / file).parent.mkdir(parents=True, exist_ok=True)
        return _run("file_download", limit_s, url, str(there / file), md5, str(limit_s))

    problem = _into(root, [file], run)
    if problem is not None:
        raise MissingData(f"{title} is not in {root}/ and could not be downloaded {problem}")


def _into(root: Path, files: Sequence[Path], run: Callable[[Path], str | None]) -> str | None:
    """Download files into a temporary folder inside ``root`` and move them; return the failure."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".download-", dir=root, ignore_cleanup_errors=True
        ) as there:
            problem = run(Path(there))
            if problem is None:
                for file in files:
                    (root / file).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(Path(there) / file, root / file)
    except OSError as error:
        problem = f"({error})"
    return problem


def _run(module: str, limit_s: float, *arguments: str) -> str | None:
    """Run a module that downloads; return a description of the failure, None on success."""
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", f"fedsiege.datasets.{module}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"within {limit_s:g} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return f"({lines[-1].strip()})"
