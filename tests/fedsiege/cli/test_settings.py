"""``fedsiege settings``: every setting with its default and its meaning, from the model alone."""

import re

import pytest

from fedsiege.cli.settings import settings
from fedsiege.errors import InvalidValue
from fedsiege.experiment import assignments
from fedsiege.experiment.spec import ExperimentSpec


def test_every_setting_is_listed_with_its_default(capsys):
    settings()
    printed = capsys.readouterr().out
    listed = dict(re.findall(r"^  ([A-Z_]+)=(\S*)", printed, re.MULTILINE))
    for name, field in ExperimentSpec.model_fields.items():
        default = "" if field.default is None else str(field.default)
        assert listed[name.upper()] == default, name
    assert (listed["WORKERS"], listed["ENGINE"], listed["MEMORY"]) == ("1", "local", "1g")
    assert "a fraction from 0 to 1" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_joined_settings_are_read_back_as_they_were_given(capsys):
    settings(["NAME=it's two", "ATTACK=0.3", "SEED="], join=True)
    words = assignments.split(capsys.readouterr().out)
    assert words == ["NAME=it's two", "ATTACK=0.3"]
    for word in ("ATTACK=2", "ATACK=1", "DEVICE=cuda", "CLIENTS=3"):
        with pytest.raises(InvalidValue) as caught:
            settings([word], join=True)
        assert caught.value.name == word.partition("=")[0]
