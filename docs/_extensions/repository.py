"""Links from the documentation to files of the repository that lie outside ``docs``.

On GitHub they lead to the files. On the site a Markdown file is a page of its own, copied into
``docs/reference/repository``; another file is a download, by MyST; a folder is its name, without a
link.
"""

import os
import re
from pathlib import Path
from typing import Any

from pages import DOCS, GENERATED, ROOT, remove_others, write

COPIES = GENERATED / "repository"
LINK = re.compile(r"(?P<text>(?<!\!)\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\])\((?P<target>[^)\s]+)\)")


def target_of(link: str, origin: Path) -> Path | None:
    """Return the file or folder that a link of a page leads to; None for URLs and anchors."""
    name = link.partition("#")[0]
    if not name or ":" in name:
        return None
    return Path(os.path.normpath(origin.parent / name))  # not resolve(): a folder may be a link


def is_copied(target: Path) -> bool:
    """Return whether the site has its own copy of a file."""
    return target.suffix == ".md" and DOCS not in target.parents


def rewrite(text: str, origin: Path, page: Path) -> str:
    """Return the text of a page with the links that hold on the site.

    Args:
        text: Markdown.
        origin: where the text comes from: its links are relative to that.
        page: where the site has it.
    """

    def replace(found: re.Match[str]) -> str:
        target = target_of(found["target"], origin)
        if target is None:
            return found[0]
        if target.is_dir():
            return found["text"][1:-1]
        if is_copied(target):
            target = COPIES / target.relative_to(ROOT)
        _, mark, anchor = found["target"].partition("#")
        return f"{found['text']}({os.path.relpath(target, page.parent)}{mark}{anchor})"

    text = LINK.sub(replace, text)
    if origin != page:  # pictures, too, are looked for from where the page lies
        text = re.sub(
            r"(!\[[^\]]*\])\(([^)\s:]+)\)",
            lambda found: f"{found[1]}({os.path.relpath(origin.parent / found[2], page.parent)})",
            text,
        )
    return text


def copy_linked(_app: Any) -> None:
    """Copy the Markdown files that pages link to, and those that these link to."""
    waiting = [page for page in DOCS.glob("*.md") if not page.is_symlink()]
    done = set()
    while waiting:
        origin = waiting.pop()
        if origin in done:
            continue
        done.add(origin)
        text = origin.read_text()
        links = (target_of(found["target"], origin) for found in LINK.finditer(text))
        waiting += [link for link in links if link and is_copied(link) and link.exists()]
        if is_copied(origin):
            page = COPIES / origin.relative_to(ROOT)
            orphan = "---\norphan: true\n---\n\n"
            write(str(page.relative_to(GENERATED)), orphan + rewrite(text, origin, page))


def rewrite_page(_app: Any, docname: str, source: list[str]) -> None:
    """Rewrite the links of a page of ``docs``."""
    page = DOCS / f"{docname}.md"
    if GENERATED not in page.parents:
        source[0] = rewrite(source[0], page, page)


def setup(app: Any) -> dict[str, bool]:
    """Connect to the build."""
    app.connect("builder-inited", copy_linked)
    app.connect("builder-inited", remove_others, priority=900)  # after all that write
    app.connect("source-read", rewrite_page, priority=400)  # before sections reads the links
    return {"parallel_read_safe": True, "parallel_write_safe": True}
