"""``fedsiege rules``, ``attacks`` and ``detectors``: a line for each, with what it is and takes."""

import pytest

from fedsiege import aggregation, attacks, audit
from fedsiege.aggregation import pre
from fedsiege.audit import quarantine
from services.simulator import cli


@pytest.fixture
def lines(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")

    def listed(command) -> dict[str, str]:
        command()
        printed = (line.strip() for line in capsys.readouterr().out.splitlines())
        return {line.split()[0]: line for line in printed if line}

    return listed


@pytest.mark.parametrize(
    ("command", "catalogues"),
    [
        (cli.rules, [aggregation.catalogue, pre.catalogue]),
        (cli.attacks, [attacks.catalogue]),
        (cli.detectors, [audit.catalogue, quarantine.catalogue]),
    ],
    ids=["rules", "attacks", "detectors"],
)
def test_each_has_a_line_with_its_parameters_and_what_it_is(command, catalogues, lines):
    listed = lines(command)
    for catalogue in catalogues:
        for thing in catalogue:
            line = listed[thing.name]
            assert line.endswith(thing.summary)
            for parameter in catalogue.parameters(thing.name):
                assert f"{parameter.name}={parameter.default}" in line


@pytest.mark.parametrize(
    ("name", "level"), [("mpaf", "none"), ("alie", "partial"), ("adaptive-ipm", "full")]
)
def test_an_attack_says_what_it_knows(name, level, lines):
    assert lines(cli.attacks)[name].split()[1] == level
