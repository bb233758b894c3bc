"""Presets: what each sets is possible, can be overridden, and is what a re-run is given."""

from pathlib import Path

import pytest
import yaml

from fedsiege.errors import InvalidValue
from fedsiege.experiment.presets import PRESETS
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.grids.grid import Grid
from fedsiege.services.rpc import settings

ROOT = Path(__file__).parents[3]


def test_each_preset_resolves_and_its_file_gives_the_same_run() -> None:
    for name, preset in PRESETS.items():
        spec = ExperimentSpec.of({"preset": name})
        for key, value in preset.settings.items():
            assert getattr(spec, key) == value, (name, key)
        resolved = resolve(spec).spec
        assert ExperimentSpec.from_yaml(resolved.to_yaml()) == resolved, name
        assert "preset" not in yaml.safe_load(resolved.to_yaml()), name


def test_settings_that_are_given_override_the_preset() -> None:
    spec = ExperimentSpec.of({"preset": "ladder", "rounds": "10", "model": "net"})
    # 10 and net are the defaults, which must not make them count as not given.
    assert (spec.rounds, spec.model, spec.clients) == (10, "net", 50)
    moments = ExperimentSpec.of({"preset": "heterogeneity", "optimizer": "sgd"})
    assert moments.momentum == 0.9
    assert ExperimentSpec.of({"preset": "heterogeneity"}).momentum == 0


def test_a_preset_is_given_in_a_grid_and_over_grpc() -> None:
    grid = Grid.from_yaml("base: {preset: ladder, rounds: 2}\nvary: {rule: [median, krum]}")
    assert [(one.spec.clients, one.spec.rounds) for one in grid] == [(50, 2)] * 2
    message = settings.of({"preset": "quick", "rounds": 3})
    read = settings.read(message)
    assert (read.dataset, read.rounds) == ("digits", 3)
    assert settings.read(settings.write(read)) == read


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidValue, match=r"PRESET='laddr'.*did you mean ladder\?"):
        ExperimentSpec.of({"preset": "laddr"})


def test_a_preset_that_would_set_nothing_is_refused() -> None:
    file = yaml.safe_load(ExperimentSpec().to_yaml())
    with pytest.raises(InvalidValue, match="PRESET='quick' is not possible: unset where all"):
        ExperimentSpec.of({**file, "preset": "quick"})


def test_ladder_is_the_base_of_its_grid() -> None:
    base = yaml.safe_load((ROOT / "experiments/ladder.yaml").read_text())["base"]
    assert resolve(ExperimentSpec.of({"preset": "ladder"})) == resolve(ExperimentSpec.of(base))


def test_published_numbers_stay() -> None:
    paper = ExperimentSpec.of({"preset": "mpaf-paper"})
    assert (paper.clients - paper.hostile, paper.hostile) == (1000, 100)
    original = resolve(ExperimentSpec.of({"preset": "detect-and-defend"})).spec
    default = resolve(ExperimentSpec(dataset="mnist", init="pretrained")).spec
    assert original == default
