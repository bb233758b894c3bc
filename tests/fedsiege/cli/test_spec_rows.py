"""The rows of a specification: every setting that differs from its default is in one of them."""

from collections.abc import Iterator
from typing import get_args

from fedsiege.cli.spec_rows import spec_rows
from fedsiege.experiment.knowledge import Knowledge
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.settings import count
from fedsiege.experiment.spec import ExperimentSpec


def changed() -> Iterator[tuple[str, ExperimentSpec]]:
    """Yield each setting, and a specification in which it alone differs from its default."""
    for name, field in ExperimentSpec.model_fields.items():
        value: object = "else"
        if choices := [one for one in get_args(field.annotation) if isinstance(one, str)]:
            value = next(one for one in choices if one != field.default)
        elif isinstance(field.default, int | float):
            value = field.default / 2 + 0.25 if field.default < 1 else field.default + 3
        elif field.default is None and str not in get_args(field.annotation):
            value = 7
        # Not validated: the rows show any value.
        yield name, ExperimentSpec().model_copy(update={name: value})


def test_each_setting_that_differs_from_its_default_is_shown() -> None:
    usual = spec_rows(ExperimentSpec(), None)
    for name, spec in changed():
        # The strength of an attack stands in the attack once it is resolved.
        shown = resolve(spec).spec if name == "scale" else spec
        assert spec_rows(shown, None) != usual, name


def test_a_setting_at_its_default_has_no_row_of_its_own() -> None:
    assert list(spec_rows(ExperimentSpec(dataset="digits"), None)) == [
        *("participants", "attack", "rule", "rounds", "model", "data", "training", "seed")
    ]


def test_a_new_setting_has_a_row_without_more_than_its_definition() -> None:
    class Newer(ExperimentSpec):
        attack_from: int = count(1, "First round in which hostile participants take part", 1)

    assert "attack from" not in spec_rows(Newer(), None)
    assert spec_rows(Newer(attack_from=3), None)["attack from"] == "3"


def test_an_open_number_of_participants_is_said_in_words() -> None:
    rows = spec_rows(ExperimentSpec(clients=0, attack=0.25, min_clients=3), None)
    assert rows["participants"] == "as many as join, a share of 0.25 of them hostile"
    assert (rows["attack"], rows["min clients"]) == ("mpaf", "3")
    assert rows["rounds"] == "10, each closed by all updates"


def test_recorded_weights_and_knowledge_are_shown() -> None:
    spec = ExperimentSpec(dataset="digits")
    rows = spec_rows(spec, Knowledge.of(spec), "own.safetensors")
    assert rows["model"] == "net, initial weights: own.safetensors"
    assert rows["knowledge"] == "none, the broadcast model only"
