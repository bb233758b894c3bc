"""CITATION.cff has what version 1.2.0 of its format asks for, and the version of the package."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Keys that the format allows, of those that a software citation here may use.
ALLOWED = {
    *("abstract", "authors", "cff-version", "date-released", "doi", "identifiers", "keywords"),
    *("license", "message", "references", "repository-code", "title", "type", "url", "version"),
}


def test_the_citation_has_what_its_format_requires() -> None:
    assert {"authors", "cff-version", "message", "title"} <= set(CITATION) <= ALLOWED
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"


def test_people_and_references_are_named_as_the_format_names_them() -> None:
    people = [*CITATION["authors"]]
    for reference in CITATION["references"]:
        assert {"authors", "title", "type"} <= set(reference), reference
        people += reference["authors"]
    for person in people:
        assert set(person) in ({"name"}, {"family-names", "given-names"}), person
        assert all(isinstance(value, str) for value in person.values()), person


def test_the_attack_that_the_project_starts_from_is_cited() -> None:
    titles = [reference["title"] for reference in CITATION["references"]]
    assert any(title.startswith("MPAF:") for title in titles)


def test_version_licence_and_authors_are_those_of_the_package() -> None:
    assert isinstance(CITATION["version"], str), "0.1 without quotes would be a number"
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert [author["name"] for author in CITATION["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]
