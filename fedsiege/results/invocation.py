"""How this program was called, for commands that people are told to type next."""

import os
import shutil
import sys
from pathlib import Path

#: What the installed program is called.
PROGRAM = "fedsiege"


def program() -> list[str]:
    """Return the words that call this program once more, where this call was typed.

    ``fedsiege`` where the shell finds that one; else its path, relative where it lies below the
    working directory, or the interpreter with ``-m``. A process that is not the command line, such
    as a test, says ``fedsiege``.
    """
    called = Path(sys.argv[0])
    if called.name == PROGRAM:
        found = shutil.which(PROGRAM)
        if found is not None and called.is_file() and os.path.samefile(found, called):
            return [PROGRAM]
        return [shortened(called)]
    module = getattr(sys.modules.get("__main__"), "__spec__", None)
    if module is not None and module.name == "fedsiege.cli.main":
        return [shortened(Path(sys.executable)), "-m", module.name]
    return [PROGRAM]


def shortened(path: Path) -> str:
    """Return a path as short as it can be typed: relative where it lies below this directory."""
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)
