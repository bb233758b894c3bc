"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes the file when all is well."""
    partial = path.with_name(f".partial-{path.name}")
    yield partial
    os.replace(partial, path)
