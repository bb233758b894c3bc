"""Tests of the experiment that a simulator starts from its environment."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator.__main__ import from_environment, main, unread


def test_an_empty_environment_is_an_open_experiment():
    assert from_environment({}) == ExperimentSpec(clients=0)


def test_variables_are_named_as_those_of_make():
    given = {"ATTACK": "0.3", "RULE": "krum:f=2", "ATTACK_NAME": "", "SEED": "7", "PATH": "/bin"}
    wanted = ExperimentSpec(clients=0, attack=0.3, rule="krum:f=2", seed=7)
    assert from_environment(given) == wanted
    assert from_environment({"CLIENTS": "12", "NAME": "host"}) == ExperimentSpec(clients=12)


def test_settings_in_one_text_are_parsed_as_make_writes_them():
    given = {"SETTINGS": "ATTACK=0.3 'NAME=two words' RULE=", "ATTACK": "0.1", "SEED": "7"}
    wanted = ExperimentSpec(clients=0, attack=0.3, name="two words", seed=7)
    assert from_environment(given) == wanted
    for text, words in (
        (
            "ATACK=0.3",
            "ATACK='0.3' is not possible: there is no such variable, did you mean ATTACK?",
        ),
        ("ATTACK=2", "ATTACK='2' is not possible: a fraction from 0 to 1"),
        ("fedavg", "SETTINGS='fedavg' is not possible: settings as NAME=value"),
        ("'NAME=two", 'SETTINGS="\'NAME=two" is not possible: settings as NAME=value'),
    ):
        with pytest.raises(InvalidValue) as caught:
            from_environment({"SETTINGS": text})
        assert str(caught.value).startswith(words), text


def test_an_invalid_variable_is_refused_at_start(monkeypatch, capsys):
    with pytest.raises(InvalidValue, match="ATTACK"):
        from_environment({"ATTACK": "2"})
    monkeypatch.setenv("ROUNDS", "none")
    with pytest.raises(SystemExit):
        main(["--start"])
    assert "ROUNDS='none' is not possible" in capsys.readouterr().err
    monkeypatch.setenv("FEDSIEGE_LIMIT", "streams=2")
    with pytest.raises(SystemExit):
        main([])
    assert "did you mean FEDSIEGE_LIMITS?" in capsys.readouterr().err


def test_variables_that_resemble_settings_are_reported():
    given = {"ATTAK": "0.3", "FEDSIEGE_ROUNDS": "3", "RULE": "krum", "PATH": "/bin", "HOME": "/"}
    given |= {"TERM": "xterm", "HOSTNAME": "abc", "LANG": "C.UTF-8", "PYTHON_VERSION": "3.11"}
    assert list(unread(given)) == [
        "FEDSIEGE_ROUNDS has no effect: --start reads ROUNDS",
        "ATTAK has no effect: there is no such setting, did you mean ATTACK?",
    ]
