"""Docstrings of components, which are pages of the documentation, as text for a terminal."""

import inspect
import re
import textwrap
from collections.abc import Sequence

from fedsiege.cli.formula import as_text

#: What an item of a list begins with.
_BULLET = re.compile(r"([-*]|\d+\.) +")


def as_paragraphs(component: type, width: int) -> str:
    """Return the docstring of a component with its formulas, links and roles as plain text.

    Args:
        component: the class.
        width: of the window, in characters.
    """
    blocks = re.split(r"\n\s*\n", inspect.getdoc(component) or "")
    shown, formula = [], False
    for block in blocks:
        lines = block.splitlines()
        if lines[0].strip() == ".. math::":
            latex = "\n".join(lines[1:])
            formula = not latex.strip()  # then it is the next block
            if latex.strip():
                shown.append(_formula(latex))
        elif formula and lines[0].startswith("   "):
            shown.append(_formula(block))
            formula = False
        elif lines[0].strip() == "Source:":
            text = _inline(" ".join(map(str.strip, lines[1:])))
            shown.append("Source:\n" + textwrap.fill(text, width, break_long_words=False))
        elif lines[0].startswith("="):  # a table
            shown.append("\n".join(map(_inline, lines)))
        else:
            shown.append("\n".join(_filled(item, width) for item in _items(lines)))
    return "\n\n".join(shown)


def _items(lines: Sequence[str]) -> list[str]:
    """Return the items of a list, or a paragraph as the only item, each on one line."""
    items: list[str] = []
    for line in lines:
        if not items or _BULLET.match(line):
            items.append(line)
        else:
            items[-1] += " " + line.strip()
    return items


def _filled(text: str, width: int) -> str:
    bullet = _BULLET.match(text)
    indent = " " * (bullet.end() if bullet else 0)
    return textwrap.fill(_inline(text), width, subsequent_indent=indent, break_long_words=False)


def _formula(latex: str) -> str:
    return textwrap.indent(as_text(latex), "    ")


def _inline(text: str) -> str:
    """Return text without the marks of roles, links, code and emphasis."""
    text = re.sub(r"\s+", " ", text.strip()) if not text.startswith(" ") else text
    text = re.sub(r":math:`([^`]*)`", lambda found: as_text(found[1]), text)
    text = re.sub(r":\w+:`(?:\w+\s)?<?/?([^`>]*)>?`", r"\1", text)
    text = re.sub(r"`([^`<]+?)\s*<([^`>]+)>`__?", r"\1 (\2)", text)
    text = text.replace("``", "")
    return re.sub(r"(?<!\w)\*([^*\s][^*]*)\*(?!\w)", r"\1", text)
