"""The pages are true: links, paths and messages hold as written."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

from fedsiege import attacks, datasets, detectors, models, rules
from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from tests.docs.pages import ROOT, TEXTS, spans

README, INDEX = TEXTS["README.md"], TEXTS["docs/index.md"]
#: How the pages of sources are addressed, site by site.
SITES = (
    r"https://arxiv\.org/abs/\d{4}\.\d{4,5}",
    r"https://doi\.org/10\.\d{4,9}/[\w.()/:-]+",
    r"https://github\.com/[\w.-]+/[\w.-]+",
    r"https://openreview\.net/forum\?id=\w+",
    r"https://papers\.nips\.cc/paper/\d{4}/hash/[0-9a-f]+-Abstract\.html",
    r"https://proceedings\.mlr\.press/v\d+/[a-z0-9]+\.html",
    r"https://www\.usenix\.org/conference/\w+/presentation/[\w-]+",
    r"https://www\.itl\.nist\.gov/div898/handbook/[\w/]+\.htm",
)
#: Titles of links to a repository, which many sources have.
CODE = re.compile(r"^(the authors' )?code$")


def test_every_link_leads_to_a_page_and_a_heading():
    def anchors(path: Path) -> set[str]:
        headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
        words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
        return {heading.replace(" ", "-") for heading in words}

    missing = []
    for page, text in TEXTS.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, anchor = link.partition("#")
            target = (ROOT / page).parent / name if name else ROOT / page
            if "://" in link:
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                missing.append(f"{page}: {link}")
    assert not missing


def test_every_path_of_a_page_exists():
    """``fedsiege/rules/base.py`` in a page is a file of the tree."""
    rooms = "fedsiege|services|protos|tests|docs|docker|experiments|benchmarks"
    missing = [
        f"{page}: {span}"
        for page, text in TEXTS.items()
        for span in spans(text)
        if re.fullmatch(rf"({rooms})/[\w./-]+", span) and not (ROOT / span).exists()
    ]
    assert not missing


def test_every_message_that_is_explained_is_one_of_ours():
    """The code spans in the first column of troubleshooting.md stand in the code."""
    sources = [ROOT / "Makefile", *(ROOT / "fedsiege").rglob("*.py")]
    sources += (ROOT / "services").rglob("*.py")
    code = re.sub(r'"\s*f?"', "", "".join(path.read_text() for path in sources))
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", TEXTS["docs/troubleshooting.md"], re.MULTILINE)
    parts = [part for row in rows for span in spans(row) for part in span.split("…")]
    assert len(parts) > 10
    assert [part for part in parts if part.strip() not in code] == []


def test_every_page_is_reached_from_the_index_and_the_readme_names_the_most_used():
    for page in TEXTS:
        folder, _, name = page.rpartition("/")
        assert folder != "docs" or name == "index.md" or f"({name})" in INDEX, page
    assert README.count("](docs/") > 10
    assert len(README.splitlines()) <= 95


def test_each_link_to_a_source_has_the_form_of_its_site_and_one_title():
    """``make docs ARGS='-b linkcheck'`` tries the links where there is a network."""
    links = defaultdict(set)
    for kind in (rules, rules.pre, attacks, detectors, models, datasets):
        for component in kind.registry:
            text = " ".join((component.__doc__ or "").split())
            for title, url in re.findall(r"`([^`<]+) <(https?://[^>]+)>`_", text):
                links[url].add(title)
    for text in TEXTS.values():
        for title, url in re.findall(r"\[([^\[\]]+)\]\((https?://[^)\s]+)\)", text):
            links[url].add(title)
    assert len(links) > 10
    wrong = [url for url in links if not any(re.fullmatch(form, url) for form in SITES)]
    assert not wrong, "add the form to SITES, or write the link as the others of its site"
    titles = defaultdict(set)
    for url, found in links.items():
        assert len({title for title in found if not CODE.search(title)}) <= 1, f"{url}: {found}"
        for title in found:
            titles[title].add(url)
    twice = {
        title: urls for title, urls in titles.items() if len(urls) > 1 and not CODE.search(title)
    }
    assert not twice


def test_an_impossible_request_is_answered_as_shown():
    with pytest.raises(InvalidValue) as refused:
        ExperimentSpec.of({"attack": 1.2})
    assert f'"message": "{refused.value}"' in TEXTS["docs/grpc.md"]
