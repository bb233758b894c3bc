"""Pages that the build writes, in ``docs/reference``, which git ignores."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent
ROOT = DOCS.parent
GENERATED = DOCS / "reference"
_written: set[Path] = set()


def write(name: str, text: str) -> Path:
    """Write a generated page unless it is as it should be, so that Sphinx reads only what changed.

    Args:
        name: the path within ``docs/reference``; a file whose name begins with ``_`` is no page of
            its own, others include it.
        text: MyST Markdown.
    """
    path = GENERATED / name
    _written.add(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def remove_others(_app: Any) -> None:
    """Remove what an earlier build generated and this one did not."""
    for path in GENERATED.rglob("*.md"):
        if path not in _written:
            path.unlink()


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a vertical bar within a cell is escaped."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
