"""The virtual environments of peers: one each, made when first needed, apart from ours."""

import shutil
import sys
import venv
from pathlib import Path

from benchmarks.contest import ContenderError
from benchmarks.processes import ROOT, running

PEERS = ROOT / "benchmarks" / "peers"
_ENVIRONMENTS = ROOT / ".bench"
_INSTALL_TIMEOUT = 1200.0


class Environment:
    """The virtual environment of one peer.

    Args:
        name: the name of the peer; ``peers/<name>.txt`` lists its packages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.packages = PEERS / f"{name}.txt"
        self.folder = _ENVIRONMENTS / name
        self.python = self.folder / "bin" / "python"
        self._stamp = self.folder / "installed.txt"

    @property
    def is_ready(self) -> bool:
        """Whether the listed packages are installed."""
        return self._stamp.is_file() and self._stamp.read_text() == self.packages.read_text()

    def prepare(self) -> None:
        """Make the environment if it does not exist or the list of packages has changed.

        Raises:
            ContenderError: the packages cannot be installed.
        """
        if self.is_ready:
            return
        print(f"Making the environment of {self.name} in {self.folder} ...", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=True)
        command = [str(self.python), "-m", "pip", "install", "-q", "-r", str(self.packages)]
        with running(command) as pip:
            if pip.child.wait(_INSTALL_TIMEOUT) != 0:
                raise ContenderError(f"{self.name} cannot be installed: {pip.log_tail()}")
        self._stamp.write_text(self.packages.read_text())


#: The interpreter of our own environment.
OURS = Path(sys.executable)
