"""The download of a data set by torchvision, in a process of its own with a time limit.

The import of torchvision takes a second and 85 MB, and name look-ups and sockets cannot be
interrupted within a process.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
    """

    title: str
    class_name: str
    files: tuple[Path, ...]
    mirrors: tuple[str, ...]

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
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=".download-", dir=root, ignore_cleanup_errors=True
            ) as folder:
                problem = _run(self.class_name, Path(folder), self.mirrors, limit_s)
                if problem is None:
                    for file in self.files:
                        target = root / self.class_name / file
                        target.parent.mkdir(parents=True, exist_ok=True)
                        os.replace(Path(folder) / self.class_name / file, target)
        except OSError as error:
            problem = f"({error})"
        if problem is not None:
            raise MissingData(
                f"{self.title} is not in {root}/ and could not be downloaded {problem}"
            )


def _run(class_name: str, folder: Path, mirrors: Sequence[str], limit_s: float) -> str | None:
    """Run torchvision's download; return a description of the failure, None on success."""
    module = "fedsiege.datasets.torchvision_download"
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", module, class_name, str(folder), str(limit_s), *mirrors],
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
