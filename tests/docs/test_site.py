"""The site builds without a warning, needs no network, and has a page for each component."""

import re
import shutil
import subprocess
import sys

import pytest

from fedsiege import attacks, datasets, detectors, models, rules
from fedsiege.rules import pre
from tests.docs.pages import ROOT, TEXTS, Block, blocks_of
from tests.docs.test_commands import check

MERMAID = sorted((ROOT / "node_modules").glob("mermaid@*/mermaid.min.js"))
KINDS = {
    "rules": rules.registry,
    "pre": pre.registry,
    "attacks": attacks.registry,
    "detectors": detectors.registry,
    "quarantine": detectors.quarantine.registry,
    "models": models.registry,
    "datasets": datasets.registry,
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not MERMAID, reason="mermaid is not there: `make docs` installs it"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built from a copy of ``docs`` beside links to the rest."""
    pytest.importorskip("sphinx", reason="the site needs the extra docs: `make docs` installs it")
    clone = tmp_path_factory.mktemp("site")
    for entry in ROOT.iterdir():
        if entry.name not in {"docs", ".git", "runs"}:
            (clone / entry.name).symlink_to(entry)
    without = shutil.ignore_patterns("_build", "reference", "__pycache__")
    shutil.copytree(ROOT / "docs", clone / "docs", symlinks=True, ignore=without)
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "--quiet", "-b", "html"]
    done = subprocess.run(
        [*command, "docs", "site"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return clone


def test_each_component_has_a_page_with_formula_parameters_and_source(site):
    missing = []
    for folder, registry in KINDS.items():
        for component in registry:
            if not component.__module__.startswith("fedsiege."):
                continue  # a plug-in that is installed here
            page = (site / "site" / "reference" / folder / f"{component.name}.html").read_text()
            wanted = [f"{component.__module__}.{component.__qualname__}", "Parameters"]
            if folder in {"rules", "pre", "attacks", "detectors"}:
                wanted += ["Source", 'class="math']
            missing += [f"{component.name}: {what}" for what in wanted if what not in page]
    assert not missing


def test_the_pages_of_components_say_what_the_grids_measured_and_of_how_many_seeds(site):
    krum = (site / "docs" / "reference" / "rules" / "krum.md").read_text()
    assert re.search(r"mpaf-matched:c=8.* 9\.1 \| fell", krum)
    mpaf = (site / "docs" / "reference" / "attacks" / "mpaf.md").read_text()
    assert re.search(r"`fedavg`.*`mpaf:scale=1e6` \| 0\.0 \| fell", mpaf)
    norm = (site / "docs" / "reference" / "detectors" / "norm.md").read_text()
    assert "false positives 0.1 %" in norm
    assert all("One seed (1)" in text for text in (krum, mpaf, norm))


def test_the_code_on_the_pages_of_components_works(site):
    shown: list[Block] = []
    for folder in KINDS:
        for page in (site / "docs" / "reference" / folder).glob("*.md"):
            shown += blocks_of(page.stem, page.read_text())
    for block in shown:
        if block.language == "python":
            exec(compile(block.text, block.page, "exec"), {})
        elif block.language == "sh":
            check(block.text.strip())
    assert len(shown) > 150


def test_no_page_loads_anything_from_another_site(site):
    loaded = []
    for page in (site / "site").rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page.read_text())
        outside = [tag for tag in tags if re.search(r'(src|href)="(https?:)?//', tag)]
        loaded += [f"{page.name}: {tag}" for tag in outside]
    assert not loaded


def test_each_page_of_docs_is_on_the_site_and_diagrams_are_drawn_by_our_copy(site):
    for page in TEXTS:
        if page.startswith("docs/"):
            assert (site / "site" / page.removeprefix("docs/")).with_suffix(".html").exists(), page
    assert (site / "site" / "_static" / "mermaid.min.js").exists()
    assert "mermaid.mjs" in (site / "site" / "architecture.html").read_text()
