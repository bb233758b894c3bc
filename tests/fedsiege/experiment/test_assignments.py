"""Settings as ``NAME=value``: what is read, what is refused, what the environment gives."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment import assignments

NAMES = ("attack", "rule", "name", "port")


def test_assignments_are_read_by_name():
    words = ["ATTACK=0.2", "RULE=krum:f=2", "ATTACK=0.3"]
    assert assignments.parse(words, NAMES) == {"attack": "0.3", "rule": "krum:f=2"}
    assert assignments.parse(["RULE=krum", "RULE="], NAMES) == {}, "an empty one leaves it out"


def test_what_is_no_assignment_or_of_no_setting_is_refused():
    for word, name, allowed in (
        ("ATACK=1", "ATACK", "did you mean ATTACK?"),
        ("attack=1", "attack", "did you mean ATTACK?"),
        ("krum", "SETTINGS", "settings as NAME=value"),
    ):
        with pytest.raises(InvalidValue) as caught:
            assignments.parse([word], NAMES)
        assert caught.value.name == name, word
        assert allowed in caught.value.allowed, word


def test_only_a_name_before_the_sign_makes_an_assignment():
    for word, is_one in (
        ("ATTACK=0.2", True),
        ("RULE=krum:f=2", True),
        ("A=two\nlines", True),
        ("krum:f=2", False),
        ("--attack=0.2", False),
        ("./a=b.yaml", False),
        ("grid.yaml", False),
    ):
        assert assignments.is_assignment(word) == is_one, word


def test_a_text_is_split_as_a_shell_would():
    text = "ATTACK=0.3 'NAME=two words'"
    assert assignments.split(text) == ["ATTACK=0.3", "NAME=two words"]
    with pytest.raises(InvalidValue, match="No closing quotation"):
        assignments.split("'NAME=two words")


def test_the_environment_gives_what_is_set_and_means_nothing_else():
    environment = {"ATTACK": "0.3", "RULE": "", "NAME": "host", "PORT": "80", "attack": "1"}
    assert assignments.from_plain_variables(environment, NAMES) == {"attack": "0.3"}
