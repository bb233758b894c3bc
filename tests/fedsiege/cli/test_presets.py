"""``fedsiege presets``: each scenario with its source and what it sets."""

import pytest

from fedsiege.cli.presets import presets
from fedsiege.errors import InvalidValue
from fedsiege.experiment.presets import PRESETS


def test_each_is_listed_with_its_source_and_what_it_sets(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    presets()
    said = capsys.readouterr().out
    for name, preset in PRESETS.items():
        assert f"{name}: {preset.summary}" in said
        assert preset.source in said
        assert f"CLIENTS={preset.settings['clients']} ATTACK={preset.settings['attack']}" in said


def test_one_is_shown_by_its_name_and_an_unknown_one_is_answered(monkeypatch, capsys) -> None:
    presets("quick")
    assert "DATASET=digits" in capsys.readouterr().out
    with pytest.raises(InvalidValue, match="did you mean ladder"):
        presets("lader")
