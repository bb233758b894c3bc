"""The pages of the documentation, and what stands in them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "fedsiege/checkpoints/README.md")),
    # docs/README.md is a link to docs/index.md
    *sorted(page for page in (ROOT / "docs").glob("*.md") if not page.is_symlink()),
]
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the page that it stands in, from the top of the repository.
        line: the number of its first line.
        language: what stands behind the fence.
        text: what stands in it, without the indent of a list.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str:
        """The file that the block is, by a comment in its first line: ``# my_rule.py``."""
        found = re.match(r"# ([\w./-]+\.(?:py|yaml))$", self.text.partition("\n")[0])
        return found[1] if found else ""


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = re.finditer(r"^( *)```([^`\n]*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(
            page,
            text[: one.start()].count("\n") + 1,
            one[2].strip(),
            re.sub(rf"^{one[1]}", "", one[3], flags=re.MULTILINE),
        )
        for one in found
    ]


BLOCKS = [block for page, text in TEXTS.items() for block in blocks_of(page, text)]


def spans(text: str) -> list[str]:
    """Return the code spans outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))


def lines(script: str) -> list[str]:
    """Return the command lines of a block, each whole, without comments of their own."""
    whole = (line.strip() for line in script.replace("\\\n", " ").splitlines())
    return [line for line in whole if line and not line.startswith("#")]


def without_make(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what the make that runs the tests was given: its ARGS."""
    return {
        name: x for name, x in variables.items() if name != "ARGS" and not name.startswith("MAKE")
    }
