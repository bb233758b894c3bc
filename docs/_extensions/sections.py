"""The sections of the site are those of ``index.md``: each heading with the pages it lists."""

import re
from typing import Any

ENTRY = re.compile(r"^- \[[^\]]+\]\(([^)#:]+)\.md\)", re.MULTILINE)


def add_toctrees(_app: Any, docname: str, source: list[str]) -> None:
    """Append a hidden table of contents for each section of the index."""
    if docname != "index":
        return
    for section in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
        caption, _, text = section.partition("\n")
        if pages := ENTRY.findall(text):
            lines = ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""]
            source[0] += "\n".join(lines)


def setup(app: Any) -> dict[str, bool]:
    """Connect to the build."""
    app.connect("source-read", add_toctrees)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
