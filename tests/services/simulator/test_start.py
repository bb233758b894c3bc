"""The experiment that a simulator starts with, read from the environment."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.spec import ExperimentSpec
from services.simulator.__main__ import from_environment, main


def test_an_empty_environment_is_open_to_whoever_comes():
    assert from_environment({}) == ExperimentSpec(clients=0)


def test_variables_are_those_of_make():
    given = {"ATTACK": "0.3", "RULE": "krum:f=2", "ATTACK_NAME": "", "SEED": "7", "PATH": "/bin"}
    wanted = ExperimentSpec(clients=0, attack=0.3, rule="krum:f=2", seed=7)
    assert from_environment(given) == wanted
    assert from_environment({"CLIENTS": "12", "NAME": "host"}) == ExperimentSpec(clients=12)


def test_the_impossible_is_refused_before_anything_starts(monkeypatch, capsys):
    with pytest.raises(InvalidValue, match="ATTACK"):
        from_environment({"ATTACK": "2"})
    monkeypatch.setenv("ROUNDS", "none")
    with pytest.raises(SystemExit):
        main(["--start"])
    assert "ROUNDS='none' is not possible" in capsys.readouterr().err
