"""The peers' environments: one each, made when first needed, never mixed with ours."""

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
    """A virtual environment for one peer.

    Args:
        name: of the environment and of its list of packages, ``peers/<name>.txt``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.packages = PEERS / f"{name}.txt"
        self.folder = _ENVIRONMENTS / name
        self.python = self.folder / "bin" / "python"
        self._stamp = self.folder / "installed.txt"

    @property
    def is_ready(self) -> bool:
        """Whether it holds what the list of packages asks for now."""
        return self._stamp.is_file() and self._stamp.read_text() == self.packages.read_text()

    def prepare(self) -> None:
        """Make it if it is not there or the list of packages has changed.

        Raises:
            ContenderError: the packages cannot be installed; pip's last words say why.
        """
        if self.is_ready:
            return
        print(f"Making the environment of {self.name} in {self.folder} ...", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=True)
        command = [str(self.python), "-m", "pip", "install", "-q", "-r", str(self.packages)]
        with running(command) as pip:
            if pip.child.wait(_INSTALL_TIMEOUT) != 0:
                raise ContenderError(f"{self.name} cannot be installed: {pip.last_words()}")
        self._stamp.write_text(self.packages.read_text())


#: The interpreter of this process, for contenders that live in our own environment.
OURS = Path(sys.executable)
