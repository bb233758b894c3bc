"""Downloads a data set through torchvision, in a process of its own with a time limit.

In a process of its own because torchvision costs every process that imports it a second and 85 MB,
and because name look-ups and sockets cannot be interrupted from within.
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
    """What to download.

    Attributes:
        title: what people call the data set.
        class_name: the class in ``torchvision.datasets``; also the folder that it writes to.
        files: the files wanted, relative to that folder.
        mirrors: addresses of which one must answer before torchvision is imported.
    """

    title: str
    class_name: str
    files: tuple[Path, ...]
    mirrors: tuple[str, ...]

    def into(self, root: Path, limit_s: float) -> None:
        """Do it.

        The files are downloaded into a temporary folder inside ``root`` and each is moved into
        place whole: an aborted download never looks complete.

        Args:
            root: the folder of the data sets; made if it does not exist.
            limit_s: seconds after which the download is given up and its process killed.

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
    """Run torchvision's download and return what went wrong, or None."""
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
