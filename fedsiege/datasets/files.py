"""Which files a data set may be read from.

A data set is named in messages, so its file name is not trusted: a service reads files inside its
data folder, by their name there, and files that the command which started it was given. All others
are answered alike, whether they exist or not.
"""

import os
from pathlib import Path, PurePath

from fedsiege.errors import InvalidValue, MissingData

#: The environment variable that names the files outside, absolute, with ``os.pathsep`` between.
VARIABLE = "FEDSIEGE_DATA_FILES"


def locate(given: str, root: Path, about: str) -> Path:
    """Return the path of a file or folder that a data set names.

    Args:
        given: its name in the data folder, or the absolute path of one that ``permit`` was told.
        root: the data folder.
        about: the parameter that names it, for the error: "npz:file".

    Raises:
        InvalidValue: it is neither; nothing was looked up.
        MissingData: there is no such file in the data folder.
    """
    inside = _inside(given, root)
    if inside is not None:
        if not inside.exists():
            raise MissingData(f"{about}={given!r} is not possible: {inside} does not exist")
        return inside
    if given in os.environ.get(VARIABLE, "").split(os.pathsep):
        return Path(given)
    allowed = (
        "the name of a file in the data folder, or one that the command on this machine was given"
    )
    raise InvalidValue(about, given, allowed)


def permit(given: str, root: Path, about: str, outside: bool = True) -> str:
    """Permit a file that the user of this machine named, here and in processes started from here.

    Args:
        given: a name in the data folder, a path from the current folder, or an absolute one.
        root: the data folder.
        about: as for ``locate``.
        outside: whether files outside of the data folder can be used.

    Returns:
        The name by which ``locate`` finds it.

    Raises:
        InvalidValue: it is outside of the data folder, and must not be.
        MissingData: there is no such file.
    """
    inside = _inside(given, root)
    if inside is not None and inside.exists():
        return str(inside.relative_to(root.absolute()))
    path = Path(given).expanduser().absolute()
    if not path.exists():
        places = dict.fromkeys([str(inside or path), str(path)])
        raise MissingData(
            f"{about}={given!r} is not possible: there is no {' and no '.join(places)}"
        )
    if not outside:
        allowed = f"a file in {root}, by its name there: containers have no other folder"
        raise InvalidValue(about, given, allowed)
    known = [one for one in os.environ.get(VARIABLE, "").split(os.pathsep) if one]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*known, str(path)]))
    return str(path)


def _inside(given: str, root: Path) -> Path | None:
    """Return the path of a name in the data folder; None if it leads out of it."""
    root = root.absolute()
    path = root / given  # an absolute name replaces the folder
    if ".." in PurePath(given).parts or "\0" in given or not path.is_relative_to(root):
        return None
    return path
