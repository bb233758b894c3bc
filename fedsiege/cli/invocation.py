"""Commands: the one that called this program, and those that are printed to be typed next."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from fedsiege.results import RunRecords

#: The name of the installed program.
PROGRAM = "fedsiege"


def program() -> list[str]:
    """Return the words that call this program again from the same shell.

    ``fedsiege`` where the shell finds that one; else its path, relative where it lies below the
    working directory, or the interpreter with ``-m``. In a process that is not the command line,
    such as a test, it is ``fedsiege``.
    """
    called = Path(sys.argv[0])
    if called.name == PROGRAM:
        found = shutil.which(PROGRAM)
        if found is not None and called.is_file() and os.path.samefile(found, called):
            return [PROGRAM]
        return [_shortened(called)]
    module = getattr(sys.modules.get("__main__"), "__spec__", None)
    if module is not None and module.name == "fedsiege.cli.main":
        return [_shortened(Path(sys.executable)), "-m", module.name]
    return [PROGRAM]


def this_command() -> list[str]:
    """Return the words of the command that is running."""
    return [*program(), *sys.argv[1:]]


def clean_command(run: RunRecords) -> str:
    """Return the command that makes the clean twin of a run, beside it, to be typed here."""
    return shlex.join([*program(), "sim", *clean_options(run)])


def clean_options(run: RunRecords) -> list[str]:
    """Return the options of ``sim`` that make the clean twin of a run, beside it."""
    spec = _shortened(run.path / "spec.yaml")
    out = _shortened(run.path.with_name(f"{run.path.name}-clean"))
    options = [f"--spec={spec}", "--attack=0", f"--out={out}"]
    if run.spec.intrusions:  # they need hostile participants, of which there are none
        options.append("--intrusions=")
    return options


def _shortened(path: Path) -> str:
    """Return a path relative to the working directory, if it lies below it."""
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)
