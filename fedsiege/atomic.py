"""Write files and folders atomically: complete under their name, or not there at all."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes ``path`` when the block ends.

    If the block raises, the temporary file is removed and ``path`` stays as it was.

    Raises:
        OSError: the file cannot be written; the error names ``path``.
    """
    partial = path.with_name(f".partial-{secrets.token_hex(8)}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(partial), partial):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_file(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write a file atomically, and flush it to the disk.

    Args:
        path: the file.
        data: its content.
        mode: permissions of a new file; an existing one keeps its owner and permissions, as a
            service may run under another user than the one who renews its certificate. None leaves
            both to the operating system.

    Raises:
        OSError: the file cannot be written; the error names it.
    """
    with atomic_path(path) as partial:
        # A private key must not be readable by others, not even while it is written.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        opened = os.open(partial, flags, 0o666 if mode is None else 0o600)
        with os.fdopen(opened, "wb") as file:
            if mode is not None:
                _set_permissions(opened, path, mode)
            file.write(data)
            file.flush()
            os.fsync(opened)


def _set_permissions(opened: int, path: Path, mode: int) -> None:
    """Give an open file the owner and permissions of ``path``, or ``mode`` if that is new."""
    if not path.exists():
        os.fchmod(opened, mode)
        return
    before = path.stat()
    if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(opened, before.st_uid, before.st_gid)
    os.fchmod(opened, before.st_mode & 0o777)


@dataclass(frozen=True)
class Content:
    """The content of a file of a new folder.

    Attributes:
        data: its bytes.
        mode: its permissions.
    """

    data: bytes
    mode: int = 0o644


def create_folder(folder: Path, files: Mapping[str, Content], mode: int) -> None:
    """Create a folder with its files, atomically.

    Args:
        folder: the new folder.
        files: content by file name.
        mode: permissions of the folder.

    Raises:
        FileExistsError: there is a file of that name, or a folder that is not empty.
        OSError: it cannot be written.
    """
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in files.items():
            write_file(partial / name, content.data, content.mode)
        partial.chmod(mode)
        try:
            partial.rename(folder)
        except OSError as error:
            raise FileExistsError(f"{folder} exists already") from error
    except BaseException:
        shutil.rmtree(partial)
        raise


def describe_error(error: OSError) -> str:
    """Say which file cannot be read or written, and why."""
    name = os.fsdecode(error.filename) if error.filename else "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{name} cannot be written: no space is left on its disk. "
            "What was finished before is kept; free some space and run it again"
        )
    return f"{name}: {error.strerror or error}"
