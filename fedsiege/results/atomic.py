"""Files that appear whole or not at all, and what is said when one cannot be written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes the file when all is well, and else is removed.

    Raises:
        OSError: it cannot be written; the error names the file.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(partial), partial):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all.

    Raises:
        OSError: it cannot be written; the error names the file.
    """
    with whole(path) as partial:
        partial.write_bytes(data)


def in_words(error: OSError) -> str:
    """Say that a file cannot be read or written, and why."""
    name = os.fsdecode(error.filename) if error.filename else "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{name} cannot be written: no space is left on its disk. "
            "What was finished before is kept; free some space and run it again"
        )
    return f"{name}: {error.strerror or error}"
