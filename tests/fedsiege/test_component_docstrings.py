"""The docstrings of components, which become their pages on the documentation site."""

import inspect
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import fedsiege.attacks
import fedsiege.detectors
import fedsiege.rules
import fedsiege.rules.pre

REGISTRIES = {
    "rules": fedsiege.rules.base.registry,
    "pre-aggregators": fedsiege.rules.pre.base.registry,
    "detectors": fedsiege.detectors.base.registry,
    "attacks": fedsiege.attacks.base.registry,
}
DOCS = Path(__file__).parents[2] / "docs"
#: Where papers stay. A method of this project links to a page of ours instead.
HOSTS = {
    "arxiv.org",
    "doi.org",
    "github.com",  # methods that were published as code only
    "openreview.net",
    "papers.nips.cc",
    "proceedings.mlr.press",
    "proceedings.neurips.cc",
    "www.ndss-symposium.org",
    "www.usenix.org",
}

LINK = re.compile(r"<(https?://[^>\s]+)>`__?")
PAGE = re.compile(r":doc:`(?:[^`<]*<)?/([^`>]+)>?`")


def faults(cls: type) -> list[str]:
    """Return what the docstring of a component lacks, a phrase each."""
    text = inspect.cleandoc(vars(cls)["__doc__"])
    summary, _, rest = text.partition("\n\n")
    body, found, source = f"\n{rest}\n".partition("\nSource:\n")
    pages = PAGE.findall(text)
    links = [urlsplit(url) for url in LINK.findall(source)]
    missing = [page for page in pages if not (DOCS / f"{page}.md").is_file()]
    strange = [link.geturl() for link in links if link.scheme != "https"]
    checks = {
        "no raw string: it has control characters": not re.search(r"[\a\b\f\r\t\v]", text),
        "the summary is not one sentence": re.fullmatch(r"[^.]([^.]|\.(?=\S))+\.", summary),
        "no formula, `.. math::` or `:math:`": ".. math::\n" in body or ":math:`" in body,
        "no section `Source:`": found,
        "something follows the section `Source:`": not re.search(r"^\S", source, re.MULTILINE),
        f"no page in docs/: {missing}": not missing,
        f"no https: {strange}": not strange,
        "no link in `Source:` to a paper, its code or a page of docs/": PAGE.search(source)
        or any(link.netloc in HOSTS for link in links),
    }
    return [fault for fault, passed in checks.items() if not passed]


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_component_has_a_summary_a_formula_and_a_source(kind: str) -> None:
    found = [f"{cls.name}: {fault}" for cls in REGISTRIES[kind] for fault in faults(cls)]
    assert not found, "\n".join(found)
