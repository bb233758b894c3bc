"""SIZE, CHANNELS, NORMALISE and AUGMENT: they complete the data set, or are refused."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.inputs import Image


def resolved(**settings: object):
    return resolve(ExperimentSpec.of({"attack": 0, **settings}))


def test_settings_complete_the_data_set_and_resolving_again_changes_nothing() -> None:
    found = resolved(dataset="mnist", size=32, channels=3, normalise="imagenet", model="cnn")
    assert found.spec.dataset == "mnist:size=32,channels=3,normalise=imagenet"
    assert found.inputs == Image(3, 32, 32, 10)
    again = resolve(found.spec)
    assert again.spec == found.spec
    assert not [note for note in again.notes if "no effect" in note]


def test_what_the_data_set_sets_itself_counts_and_that_is_said() -> None:
    found = resolved(dataset="mnist:size=32", size=16, channels=3)
    assert found.spec.dataset == "mnist:size=32,channels=3"
    assert "SIZE=16 has no effect: DATASET=mnist:size=32 sets it" in found.notes


def test_auto_takes_them_too() -> None:
    found = resolved(size=32)
    assert found.spec.dataset == "auto"
    assert found.inputs == Image(1, 32, 32, 10)


def test_sets_without_pictures_refuse_them() -> None:
    for name, value in (("size", 32), ("channels", 3), ("normalise", "own"), ("augment", "crop")):
        with pytest.raises(InvalidValue, match=f"{name.upper()}=.*breast-cancer.*picture"):
            resolved(dataset="breast-cancer", model="mlp", **{name: value})


def test_values_that_are_not_allowed() -> None:
    for name, value in (
        ("size", 3),
        ("channels", 2),
        ("channels", 4),
        ("normalise", "unit"),
        ("augment", "flip/crop"),
        ("augment", "turn"),
    ):
        with pytest.raises(InvalidValue, match="is not possible"):
            resolved(dataset="digits", **{name: value})
    assert ExperimentSpec.of({"augment": "none"}).augment == ""
