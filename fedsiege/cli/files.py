"""Files and folders that several commands take."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fedsiege import plugins
from fedsiege.errors import FedSiegeError

#: The option --data.
Data = Annotated[
    Path,
    typer.Option(
        help="Folder of the data sets; those that are absent are downloaded into it.",
        envvar="FEDSIEGE_DATA",
        show_default=True,
    ),
]


def read_text(path: Path) -> str:
    """Read a file that the user named.

    Raises:
        FedSiegeError: it cannot be read, or is not text.
    """
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FedSiegeError(f"{path} cannot be read: {error}") from error


def _use_plugins(paths: list[str] | None) -> list[str] | None:
    """Load the plug-in files of the option and of the environment, before the command begins."""
    plugins.use_files(Path(one) for text in paths or () for one in text.split(os.pathsep) if one)
    return paths


#: The option --plugin. A command that takes it need not look at it: the files are loaded already.
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        help=f"Python file whose components are added; several with {os.pathsep!r} between.",
        metavar="FILE",
        show_default=False,
        callback=_use_plugins,
    ),
]
