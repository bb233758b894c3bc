"""Files and folders that are there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Content:
    """What a file is to hold.

    Attributes:
        data: its bytes.
        mode: who may read it, for a file that is new.
    """

    data: bytes
    mode: int = 0o644


def replace(path: Path, content: Content) -> None:
    """Put a file in the place of an older one, if there is one, whose owner and mode it takes over.

    A service may run as somebody else than who renews its certificate.
    """
    opened, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(opened, "wb") as file:
            os.fchmod(opened, content.mode)
            if path.exists():
                before = path.stat()
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(opened, before.st_uid, before.st_gid)
                os.fchmod(opened, before.st_mode & 0o777)
            file.write(content.data)
            file.flush()
            os.fsync(opened)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def create(folder: Path, files: Mapping[str, Content], mode: int) -> None:
    """Make a folder with its files.

    Raises:
        FileExistsError: there is one with something in it, or a file.
    """
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in files.items():
            replace(beside / name, content)
        beside.chmod(mode)
        try:
            beside.rename(folder)
        except OSError as error:
            raise FileExistsError(f"{folder} is there already") from error
    except BaseException:
        shutil.rmtree(beside)
        raise
