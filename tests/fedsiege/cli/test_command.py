"""Options as assignments: ``ATTACK=0.2`` is ``--attack=0.2``, on the command line and in make."""

import pytest
import typer

from fedsiege.cli import sim
from fedsiege.errors import InvalidValue


def options_of(*words: str) -> dict:
    """What ``fedsiege sim`` would be given."""
    return typer.main.get_command(sim.app).make_context("sim", list(words)).params


def test_an_assignment_is_an_option():
    found = options_of("ATTACK=0.3", "--rounds=3", "WORKERS=2", "RULE=krum:f=2", "SEED=")
    assert (found["attack"], found["rounds"], found["workers"]) == ("0.3", "3", 2)
    assert (found["rule"], found["seed"]) == ("krum:f=2", None), "an empty one is left out"


def test_the_value_of_an_option_is_no_assignment():
    assert options_of("--name", "A=b", "ATTACK=0.3")["name"] == "A=b"


def test_an_unknown_assignment_is_refused_with_the_nearest():
    with pytest.raises(InvalidValue, match="did you mean ROUNDS"):
        options_of("ROUND=3")


def test_plain_variables_of_the_environment_count_only_where_asked_for(monkeypatch):
    for name, value in {"RULE": "krum", "WORKERS": "3", "NAME": "host", "SEED": ""}.items():
        monkeypatch.setenv(name, value)
    assert options_of()["rule"] is None
    found = options_of("--plain-environment")
    assert (found["rule"], found["workers"]) == ("krum", 3)
    assert (found["name"], found["seed"]) == (None, None)
    found = options_of("--plain-environment", "RULE=median", "--workers=2")
    assert (found["rule"], found["workers"]) == ("median", 2), "what is given comes first"
