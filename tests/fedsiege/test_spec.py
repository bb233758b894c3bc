"""The specification: one set of settings, refused in words before anything starts."""

import math
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedsiege import attacks
from fedsiege.errors import InvalidValue
from fedsiege.spec import ExperimentSpec, hostile_count, settings_from_yaml

FIELDS = list(ExperimentSpec.model_fields)


def settled(**settings: object) -> dict[str, Any]:
    return ExperimentSpec.of(settings).settle().spec.model_dump()


def notes(**settings: object) -> str:
    return "\n".join(ExperimentSpec.of(settings).settle().notes)


# --- fields ---------------------------------------------------------------------------------------


def test_the_fields_are_those_of_the_contract() -> None:
    from fedsiege.v1.simulator_pb2 import ExperimentSpec as Message

    assert [field.name for field in Message.DESCRIPTOR.fields] == FIELDS


def test_the_defaults_are_those_of_the_issue() -> None:
    assert ExperimentSpec.of({}).model_dump() == {
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
        "lr": 0.001,
        "momentum": 0.9,
        "epochs": 2,
        "batch": 4,
        "dataset": "auto",
        "partition": "sample",
        "init": None,
        "seed": 0,
        "deadline": 30.0,
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
    }


def test_each_field_has_a_help_text_that_ends_with_what_is_allowed() -> None:
    for name, field in ExperimentSpec.model_fields.items():
        what, _, allowed = (field.description or "").partition(": ")
        assert len(what) > 3, name
        assert field.json_schema_extra == {"allowed": allowed}, name


def test_with_an_open_number_of_participants_nothing_is_counted() -> None:
    settled = ExperimentSpec(clients=0, rule="krum", threshold=5).settle()
    assert settled.spec.clients == 0
    assert settled.spec.rule.startswith("krum")
    assert settled.spec.threshold == 5
    assert ExperimentSpec(clients=0).settle().spec.threshold is None
    with pytest.raises(InvalidValue, match="ATTACK"):
        ExperimentSpec(clients=0, attack=1).settle()
    with pytest.raises(InvalidValue, match="PARTITION"):
        ExperimentSpec(clients=0, partition="iid").settle()


def test_it_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ExperimentSpec().attack = 0.5


def test_reading_it_costs_no_torch() -> None:
    code = (
        "import sys; from fedsiege.spec import ExperimentSpec;"
        "ExperimentSpec.from_yaml('attack: 0.3'); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# --- validation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
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
    "init": ["", "trained", 0],
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
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, vs in IMPOSSIBLE.items() for v in vs])
def test_an_impossible_value_is_named_with_what_is_allowed(key: str, value: object) -> None:
    with pytest.raises(InvalidValue) as caught:
        ExperimentSpec.of({key: value})
    assert caught.value.name == key.upper()
    assert caught.value.value is value or caught.value.value == value
    assert str(caught.value).startswith(f"{key.upper()}={value!r} is not possible: ")
    assert len(caught.value.allowed) > 5


def test_every_field_refuses_something() -> None:
    assert list(IMPOSSIBLE) == FIELDS


def test_the_error_reads_as_promised() -> None:
    with pytest.raises(InvalidValue) as caught:
        ExperimentSpec.of({"attack": 1.5})
    assert str(caught.value) == "ATTACK=1.5 is not possible: a fraction from 0 to 1"


def test_the_threshold_is_within_reach() -> None:
    assert ExperimentSpec.of({"clients": 7, "threshold": 7}).threshold == 7
    with pytest.raises(InvalidValue, match=r"THRESHOLD=8 is not possible: .* from 1 to 7"):
        ExperimentSpec.of({"clients": 7, "threshold": 8})


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


# --- who is hostile -------------------------------------------------------------------------------


def test_the_number_of_hostile_participants() -> None:
    assert ExperimentSpec(clients=100, attack=0.29).hostile == 29
    assert hostile_count(10, 0.25) == 3
    with pytest.raises(InvalidValue):
        hostile_count(10, 1.01)


# --- settling -------------------------------------------------------------------------------------


def test_the_assumed_f_is_spelled_out_and_noted() -> None:
    assert settled(rule="krum")["rule"] == "krum:f=20"
    assert notes(rule="krum") == (
        "krum assumes f=20 hostile participants, a fifth of 100; set RULE=krum:f=N to change it"
    )
    assert settled(rule="krum", threshold=50)["rule"] == "krum:f=10"


def test_a_given_f_is_kept_without_a_note() -> None:
    assert settled(rule="krum:f=30")["rule"] == "krum:f=30"
    assert notes(rule="krum:f=30") == ""


def test_nothing_to_say_about_the_default_run() -> None:
    assert notes() == ""


def test_the_threshold_is_filled_in() -> None:
    assert settled(clients=30)["threshold"] == 30
    assert settled(clients=30, threshold=20)["threshold"] == 20


def test_all_samples_can_be_shared_out() -> None:
    assert settled(samples=0, partition="iid")["samples"] == 0


def test_the_scale_goes_into_the_attack() -> None:
    assert attacks.parse(settled(scale=5)["attack_name"]) == attacks.Mpaf(scale=5.0)
    assert notes(scale=5) == ""


def test_a_scale_in_the_attack_wins_and_is_noted() -> None:
    spec = settled(attack_name="mpaf:scale=3", scale=5)
    assert spec["scale"] == 3
    assert attacks.parse(spec["attack_name"]) == attacks.Mpaf(scale=3.0)
    assert notes(attack_name="mpaf:scale=3", scale=5).startswith("SCALE=5 has no effect")
    assert notes(attack_name="mpaf:scale=3") == ""


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        (
            {"attack": 0.51},
            "51 of 100 participants are hostile, more than half: no rule can hold",
        ),
        ({"attack": 0.5}, ""),
        ({"attack": 0.25, "clients": 10}, "ATTACK=0.25 of 10 participants is 2.5: 3 are hostile"),
        ({"attack": 0.001}, "ATTACK=0.001 of 100 participants is 0.1: 0 are hostile"),
        ({"attack": 0.3, "rule": "krum:f=10"}, "30 participants are hostile, more than the f=10"),
    ],
)
def test_what_is_worth_knowing_is_noted(settings: dict[str, object], note: str) -> None:
    assert notes(**settings).startswith(note)
    assert bool(notes(**settings)) == bool(note)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rule": "krun"}, "RULE='krun' is not possible: did you mean krum?"),
        ({"rule": "krum:f=-1"}, "RULE='krum:f=-1' is not possible: at krum:f, "),
        ({"rule": "krum:g=1"}, "RULE='krum:g=1' is not possible: at krum:g, it takes f"),
        ({"rule": "krum:f=50"}, "RULE='krum:f=50' is not possible: "),  # n - f - 2 < 1 or 2f >= n
        ({"rule": "krum", "clients": 2}, "RULE='krum' is not possible: "),
        ({"attack_name": "mpfa"}, "ATTACK_NAME='mpfa' is not possible: did you mean mpaf"),
        ({"attack_name": "mpaf:scale=0"}, "ATTACK_NAME='mpaf:scale=0' is not possible: at mpaf:"),
        ({"model": "lenet"}, "MODEL='lenet' is not possible: there is no such model, did you mean"),
        ({"dataset": "minst"}, "DATASET='minst' is not possible: there is no such data set, did"),
        ({"partition": "dirichlet:x"}, "PARTITION='dirichlet:x' is not possible: "),
        ({"partition": "even"}, "PARTITION='even' is not possible: "),
        ({"samples": 0}, "SAMPLES=0 is not possible: partition sample needs 1 or more"),
    ],
)
def test_what_cannot_work_is_refused_under_its_variable(
    settings: dict[str, object], text: str
) -> None:
    spec = ExperimentSpec.of(settings)
    with pytest.raises(InvalidValue) as caught:
        spec.settle()
    assert str(caught.value).startswith(text)


@settings(deadline=None)
@given(
    attack=st.floats(0, 1),
    attack_name=st.sampled_from(attacks.names()),
    scale=st.floats(1e-3, 1e9),
    clients=st.integers(10, 1000),
    rule=st.sampled_from(["fedavg", "median", "krum", "krum:f=1", "trimmed-mean"]),
    partition=st.sampled_from(["sample", "iid", "dirichlet:0.5"]),
)
def test_settling_twice_changes_nothing(**drawn: object) -> None:
    try:
        once = ExperimentSpec.of(drawn).settle().spec
    except InvalidValue as error:  # too few or too many are hostile for some attacks
        if error.name != "ATTACK_NAME":
            raise
        return
    again = ExperimentSpec.from_yaml(once.to_yaml()).settle()
    assert again.spec == once
    assert not any("assumes" in note for note in again.notes)


# --- files ----------------------------------------------------------------------------------------


def test_a_file_names_what_differs_from_the_defaults() -> None:
    spec = ExperimentSpec.from_yaml("attack: 0.3  # a third\nrule: krum:f=30\nlr: 1e-3\n")
    assert spec == ExperimentSpec(attack=0.3, rule="krum:f=30", lr=1e-3)
    assert ExperimentSpec.from_yaml("") == ExperimentSpec()


def test_the_text_is_plain_yaml_in_the_order_of_the_fields() -> None:
    values = yaml.safe_load(ExperimentSpec(name="7").to_yaml())
    assert list(values) == FIELDS
    assert values["name"] == "7"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("attack: 1.5", "ATTACK=1.5 is not possible: a fraction"),
        ("attack: yes", "ATTACK=True is not possible: a fraction"),
        ("attak: 0.2", "attak=0.2 is not possible: there is no such setting, did you mean attack?"),
        ("1: 2", "1=2 is not possible: there is no such setting"),
        ("name: 2026-11-20", r"NAME=datetime.*in quotes"),
        ("rounds: 3\nattack: 0.1\nrounds: 4", "rounds='4' is not possible: .*twice"),
        ("attack: [", r"SPEC='attack: \[' is not possible: not YAML"),
        ("name: 2026-99-99", "SPEC='name: 2026-99-99' is not possible: not YAML"),
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


@pytest.mark.parametrize(
    ("attack", "knowledge"),
    [
        ("mpaf", "none, the broadcast model only"),
        ("badnets", "partial, what its own compromised participants would have sent"),
        ("alie:knowledge=full", "full, the benign updates of the round"),
    ],
)
def test_the_knowledge_of_an_attack_is_named(attack: str, knowledge: str) -> None:
    assert ExperimentSpec(attack_name=attack).settle().knowledge == knowledge
    assert ExperimentSpec(attack_name=attack, attack=0).settle().knowledge == ""
