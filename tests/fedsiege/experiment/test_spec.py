"""The specification: one set of settings, refused in words before anything starts."""

import math
import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedsiege.errors import InvalidValue
from fedsiege.experiment.hostile import hostile_count
from fedsiege.experiment.recipes import Recipe
from fedsiege.experiment.settings import declared, marked
from fedsiege.experiment.spec import ExperimentSpec, settings_from_yaml
from tests.cases import each

FIELDS = list(ExperimentSpec.model_fields)


def test_defaults_stay() -> None:
    """A spec.yaml that leaves them out means the same later on; newer settings may join these."""
    defaults = {
        "name": "",
        "attack": 0.2,
        "attack_name": "mpaf",
        "scale": 1.0,
        "clients": 100,
        "samples": 4,
        "rounds": 10,
        "threshold": None,
        "rule": "fedavg",
        "model": "net",
        "lr": None,
        "momentum": 0.9,
        "epochs": None,
        "batch": None,
        "dataset": "auto",
        "partition": "sample",
        "init": None,
        "seed": 0,
        "deadline": None,
        "device": "cpu",
        "trainer": "auto",
        "min_clients": None,
        "admission": None,
        "faults": "",
        "intrusions": "",
        "leaked": 1,
        "audit": "",
        "clip": 0.0,
        "participation": 1.0,
        "optimizer": "sgd",
    }
    assert ExperimentSpec.of({}).model_dump() | defaults == ExperimentSpec().model_dump()
    assert ExperimentSpec().recipe == Recipe(lr=0.001, batch=4, epochs=2)


def test_each_field_has_a_help_text_that_ends_with_what_is_allowed() -> None:
    for name, field in ExperimentSpec.model_fields.items():
        what, _, allowed = (field.description or "").partition(": ")
        assert len(what) > 3, name
        assert declared(ExperimentSpec, name, "allowed") == allowed, name


def test_participants_train_by_some_of_the_settings_alone() -> None:
    told = ExperimentSpec(lr=0.5, clip=2, attack=0.3).training
    assert (told["lr"], told["clip"]) == (0.5, 2)
    assert not told.keys() & {"attack", "attack_name", "rule", "seed", "threshold", "leaked"}


def test_some_of_the_settings_are_of_the_attack() -> None:
    """In these alone an attacked run may differ from its clean twin; newer ones may join them."""
    marks = marked(ExperimentSpec, "of_attack")
    assert marks >= {"attack", "attack_name", "scale", "intrusions", "leaked"}
    others = {"clients", "rounds", "threshold", "rule", "seed", "audit", "admission", "faults"}
    assert not marks & (others | ExperimentSpec(threshold=1).training.keys())


def test_it_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ExperimentSpec().attack = 0.5


def test_reading_it_costs_no_torch() -> None:
    code = (
        "import sys; from fedsiege.experiment.spec import ExperimentSpec;"
        "ExperimentSpec.from_yaml('attack: 0.3'); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@each(
    ("key", "value"),
    [
        ("attack", 0),
        ("attack", 1),
        ("attack", "0.29"),
        ("clients", 1_000_000),
        ("clients", 1),
        ("clients", 0),
        ("min_clients", 7),
        ("admission", "token"),
        ("faults", "kill:0.2,pause:0.1"),
        ("intrusions", "sybils:1000,replay"),
        ("leaked", 3),
        ("clip", 0.5),
        ("participation", 0.2),
        ("optimizer", "adam"),
        ("samples", 0),
        ("samples", 4.0),
        ("threshold", 100),
        ("threshold", None),
        ("scale", 1e300),
        ("lr", "1e-3"),
        ("momentum", 0),
        ("seed", 2**64 - 1),
        ("deadline", 86_400),
        ("name", "x" * 100),
        ("name", "Übung 1: λ = 2 [b]"),
        ("init", "random"),
    ],
)
def test_the_edges_of_the_ranges_are_inside(key: str, value: object) -> None:
    kept = getattr(ExperimentSpec.of({key: value}), key)
    assert kept == (type(kept)(value) if value is not None else None)


IMPOSSIBLE: dict[str, list[object]] = {
    "name": ["x" * 101, "two\nlines", "a\x00b", "a\u2028b", 7, None],
    "attack": [1.5, -0.1, math.nan, math.inf, "much", True, None, [0.2]],
    "attack_name": [3, None, ["mpaf"]],
    "scale": [0, -1, math.nan, math.inf, "x"],
    "clients": [-1, 1_000_001, 10**400, 4.5, math.nan, "many", False],
    "samples": [-1, 1_000_001, 0.5],
    "rounds": [0, -3, 1_000_001, "ten"],
    "threshold": [0, -1, 101, 2.5, True],
    "rule": [0.5, None],
    "model": [0, None],
    "lr": [0, -0.1, math.inf, math.nan, 10**400],
    "momentum": [1, -0.1, math.nan, 1.5],
    "epochs": [0, 1_000_001],
    "batch": [0, 2**64],
    "dataset": [1],
    "partition": [None],
    "init": ["", "trained", 0, "a\n.safetensors", "x/" * 600, ".safetensor", "folder/"],
    "seed": [-1, 2**64, 0.5, True],
    "deadline": [0, -1, 86_401, math.inf, math.nan],
    "device": ["gpu", None],
    "trainer": ["fast", None],
    "min_clients": [0, -1, 1_000_001, "some", 0.5],
    "admission": ["closed", "", 1],
    "faults": ["kill", "kill:", "burn:0.1", "kill=0.1", None],
    "intrusions": ["sybils:", "sybils:-1", "burglary", None],
    "leaked": [-1, 0.5, "all"],
    "audit": [3, None],
    "clip": [-1, math.nan, math.inf, "some"],
    "participation": [0, -0.1, 1.1, math.nan, "half"],
    "optimizer": ["", "Adam", "rmsprop", 0, None],
    "weight_decay": [-1, math.nan, math.inf, "some"],
}


@each(("key", "value"), [(k, v) for k, vs in IMPOSSIBLE.items() for v in vs])
def test_an_impossible_value_is_named_with_what_is_allowed(key: str, value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        ExperimentSpec.of({key: value})
    assert caught.value.name == key.upper()
    assert caught.value.value is value or caught.value.value == value
    assert str(caught.value).startswith(f"{key.upper()}={value!r} is not possible: ")
    assert len(caught.value.allowed) > 5


def test_every_field_refuses_what_no_setting_can_be() -> None:
    assert IMPOSSIBLE.keys() <= set(FIELDS)
    for name in FIELDS:
        for value in (True, ["a list"], {"a": "mapping"}):
            with pytest.raises(InvalidValue) as caught:
                ExperimentSpec.of({name: value})
            assert caught.value.name == name.upper(), name


def test_the_error_reads_as_promised() -> None:
    with pytest.raises(InvalidValue) as caught:
        ExperimentSpec.of({"attack": 1.5})
    assert str(caught.value) == "ATTACK=1.5 is not possible: a fraction from 0 to 1"


def test_the_threshold_is_within_reach() -> None:
    assert ExperimentSpec.of({"clients": 7, "threshold": 7}).threshold == 7
    with pytest.raises(InvalidValue, match=r"THRESHOLD=8 is not possible: .* from 1 to 7"):
        ExperimentSpec.of({"clients": 7, "threshold": 8})


def test_adam_runs_without_the_momentum_of_sgd() -> None:
    spec = ExperimentSpec.of({"optimizer": "adam"})
    assert (spec.momentum, ExperimentSpec(optimizer="adam").momentum) == (0.0, 0.0)
    assert ExperimentSpec.from_yaml(spec.to_yaml()) == spec
    assert ExperimentSpec.of({"optimizer": "adam", "momentum": "0"}) == spec
    assert ExperimentSpec.of({"optimizer": "sgd"}).momentum == 0.9
    with pytest.raises(InvalidValue) as caught:
        ExperimentSpec.of({"optimizer": "adam", "momentum": 0.9})
    assert str(caught.value) == (
        "MOMENTUM=0.9 is not possible: 0, or unset, with OPTIMIZER=adam, which has moments of its "
        "own"
    )


@pytest.mark.parametrize(
    ("key", "nearest"), [("attak", "attack"), ("ROUNDS", "rounds"), ("learning rate", "")]
)
def test_an_unknown_setting_is_named_with_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        ExperimentSpec.of({"attack": 0.1, key: 1})
    assert (caught.value.name, caught.value.value) == (key, 1)
    assert (f"did you mean {nearest}?" in caught.value.allowed) == bool(nearest)
    assert "name, attack, attack_name" in caught.value.allowed


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())
)


@given(st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text()), anything, max_size=4))
def test_whatever_comes_is_taken_or_refused_in_words(settings: dict[str, object]) -> None:
    refused = None
    try:
        spec = ExperimentSpec.of(settings)
    except InvalidValue as error:
        refused = error.name
    if refused is None:
        assert ExperimentSpec.from_yaml(spec.to_yaml()) == spec
    else:
        assert refused in settings or refused.lower() in settings


def test_the_number_of_hostile_participants() -> None:
    assert ExperimentSpec(clients=100, attack=0.29).hostile == 29
    assert hostile_count(10, 0.25) == 3
    with pytest.raises(InvalidValue):
        hostile_count(10, 1.01)


def test_a_file_names_what_differs_from_the_defaults() -> None:
    spec = ExperimentSpec.from_yaml("attack: 0.3  # a third\nrule: krum:f=30\nlr: 1e-3\n")
    assert spec == ExperimentSpec(attack=0.3, rule="krum:f=30", lr=1e-3)
    assert ExperimentSpec.from_yaml("") == ExperimentSpec()


def test_the_text_is_plain_yaml_in_the_order_of_the_fields() -> None:
    values = yaml.safe_load(ExperimentSpec(name="7").to_yaml())
    assert list(values) == [name for name in FIELDS if name != "preset"]
    assert values["name"] == "7"


@each(
    ("text", "error"),
    [
        ("attack: 1.5", "ATTACK=1.5 is not possible: a fraction"),
        ("attack: yes", "ATTACK='yes' is not possible: a fraction"),
        ("attak: 0.2", "attak=0.2 is not possible: there is no such setting, did you mean attack?"),
        ("1: 2", "1=2 is not possible: there is no such setting"),
        ("name: 20261120", r"NAME=20261120 is not possible: .*in quotes"),
        ("rounds: 3\nattack: 0.1\nrounds: 4", "rounds='4' is not possible: .*twice"),
        ("base: {vary: {1: {a: 1}, '1': {a: 2}}}", "1='...' is not possible: .*twice"),
        ("base: &a {base: *a}", "base=.*no such setting"),
        ("base: {clients: 5, rounds: 1, clients: 6}", "clients='6' is not possible: .*twice"),
        ("attack: [", r"SPEC='attack: \[' is not possible: not YAML"),
        ("clients: !!int 010", "SPEC='clients: !!int 010' is not possible: not YAML"),
        ("clients: !!float 1e1", "SPEC=.*not YAML"),
        ("attack: !!bool yes", "SPEC=.*not YAML"),
        ("name: !!timestamp 2026-11-20", "SPEC=.*not YAML"),
        ("attack: !!python/object:os.system x", "SPEC=.*not YAML"),
        ("attack: 0.1\n---\nattack: 0.2", "SPEC='attack: 0.1' is not possible: not YAML"),
        ("- attack\n", "SPEC='- attack' is not possible: settings, one"),
        ("just text", "SPEC='just text' is not possible: settings, one"),
        ("? [1, 2]\n: 3", "SPEC=.*not YAML"),
    ],
)
def test_a_faulty_file_is_refused_with_its_key(text: str, error: str) -> None:
    with pytest.raises(InvalidValue, match=f"(?s)^{error}"):
        ExperimentSpec.from_yaml(text)


def test_settings_of_a_file_can_be_overridden_before_they_are_checked() -> None:
    settings = settings_from_yaml("attack: 0.3\nclients: 10\n") | {"clients": 20}
    assert ExperimentSpec.of(settings) == ExperimentSpec(attack=0.3, clients=20)


@pytest.mark.parametrize("name", ["audit", "faults", "intrusions"])
def test_none_is_nothing(name: str) -> None:
    assert getattr(ExperimentSpec.of({name: "none"}), name) == ""
    assert ExperimentSpec.of({name: "none"}) == ExperimentSpec()


#: What YAML 1.1 reads as a number, a truth value or a date, or as text though it is a number.
ODD = [
    *("010", "-010", "0b11", "0x1f", "0o17", "1_000", "1_0.5", "1:30", "1:30.5", "12:30:00"),
    *("1e6", "1E6", "1.0e-3", "1e-3", ".5", "5.", "+5", "0100.5", "10.0", ".inf", "-.inf", "inf"),
    *(".nan", "nan", "yes", "no", "on", "off", "y", "true", "False", "2026-11-20", "2026-99-99"),
    *("2026-11-20 12:30:00", "=", "<<", "\u0661"),
]


@each("text", ODD)
@each("field", FIELDS)
def test_a_file_reads_a_value_as_the_command_line_does_or_refuses_it(field: str, text: str) -> None:
    from_file: object
    try:
        from_file = getattr(ExperimentSpec.from_yaml(f"{field}: {text}"), field)
    except InvalidValue:
        return
    assert from_file == getattr(ExperimentSpec.of({field: text}), field)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("clients: 010", ExperimentSpec(clients=10)),
        ("lr: 1e-6", ExperimentSpec(lr=1e-6)),
        ("name: 2026-11-20", ExperimentSpec(name="2026-11-20")),
        ("name: no", ExperimentSpec(name="no")),
        ("deadline: ~", ExperimentSpec()),
        ("deadline:", ExperimentSpec()),
        ("<<: {clients: 7}\nattack: 0.5", ExperimentSpec(clients=7, attack=0.5)),
    ],
)
def test_values_that_yaml_would_read_otherwise(text: str, spec: ExperimentSpec) -> None:
    assert ExperimentSpec.from_yaml(text) == spec


@pytest.mark.parametrize("text", ["clients: 0b11", "clients: 0x1f", "rounds: 1:30", "lr: .inf"])
def test_numbers_of_yaml_alone_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not possible: a"):
        ExperimentSpec.from_yaml(text)
