"""Files and folders that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

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
