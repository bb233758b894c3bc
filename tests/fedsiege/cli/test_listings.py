"""``fedsiege rules`` and the other listings: a line for each, with what it is and takes."""

import pytest

from fedsiege import attacks, datasets, detectors, models, rules
from fedsiege.cli.attacks import attacks as list_attacks
from fedsiege.cli.datasets import datasets as list_datasets
from fedsiege.cli.detectors import detectors as list_detectors
from fedsiege.cli.models import models as list_models
from fedsiege.cli.rules import rules as list_rules
from fedsiege.detectors import quarantine
from fedsiege.errors import InvalidValue
from fedsiege.rules import pre
from fedsiege.rules.context import needs_of


@pytest.fixture
def lines(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")

    def listed(command) -> dict[str, str]:
        command()
        printed = (line.strip() for line in capsys.readouterr().out.splitlines())
        return {line.split()[0]: line for line in printed if line}

    return listed


@pytest.mark.parametrize(
    ("command", "registries"),
    [
        (list_rules, [rules.registry, pre.registry]),
        (list_attacks, [attacks.registry]),
        (list_detectors, [detectors.registry, quarantine.registry]),
        (list_models, [models.registry]),
        (list_datasets, [datasets.registry]),
    ],
    ids=["rules", "attacks", "detectors", "models", "datasets"],
)
def test_each_has_a_line_with_its_parameters_and_what_it_is(command, registries, lines):
    listed = lines(command)
    for registry in registries:
        for thing in registry:
            line = listed[thing.name]
            assert line.endswith(thing.summary)
            for parameter in registry.parameters(thing.name):
                assert f"{parameter.name}={parameter.default}" in line


@pytest.mark.parametrize(
    ("command", "registries"),
    [
        (list_rules, [rules.registry, pre.registry]),
        (list_attacks, [attacks.registry]),
        (list_detectors, [detectors.registry, quarantine.registry]),
    ],
    ids=["rules", "attacks", "detectors"],
)
def test_a_window_of_80_columns_shows_every_word_unbroken(command, registries, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    command()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    blocks: dict[str, list[str]] = {}
    for line in lines:
        if line[:1].strip():
            words = blocks.setdefault(line.split()[0], [])
        words += line.split()
    for registry in registries:
        for thing in registry:
            parameters = [f"{one.name}={one.default}" for one in registry.parameters(thing.name)]
            shown = [word.removesuffix(",") for word in blocks[thing.name]]
            wanted = [word.removesuffix(",") for word in thing.summary.split()]
            needs = needs_of(thing).replace(",", "").split() if hasattr(thing, "needs") else []
            needed = ["needs", *needs] if needs else []
            knows = shown[1:2] if command is list_attacks else []
            assert shown == [thing.name, *knows, *wanted, *parameters, *needed]


@pytest.mark.parametrize(
    ("name", "level"), [("mpaf", "none"), ("alie", "partial"), ("adaptive-ipm", "full")]
)
def test_an_attack_says_what_it_knows(name, level, lines):
    assert lines(list_attacks)[name].split()[1] == level


def test_one_of_them_is_explained_with_what_its_parameters_allow(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    for command, registry, name in (
        (list_rules, rules.registry, "multi-krum"),
        (list_rules, pre.registry, "bucketing"),
        (list_attacks, attacks.registry, "mpaf"),
        (list_detectors, detectors.registry, "history"),
        (list_detectors, quarantine.registry, "quarantine"),
    ):
        command(name)
        shown = capsys.readouterr().out
        assert registry.get(name).summary in shown
        for one in registry.parameters(name):
            for part in (one.name, one.default, one.allowed, one.description):
                assert part in shown, (name, part)
    with pytest.raises(InvalidValue, match="did you mean krum"):
        list_rules("krumm")


def test_the_explanation_of_one_says_what_it_needs(capsys):
    list_rules("fednova")
    printed = " ".join(capsys.readouterr().out.split())
    assert "needs to know the round's steps: the local steps, one whole number" in printed
    assert "With weighted=true it needs to know the round's weights: the sample counts" in printed
