"""Tests of settings as a Struct: what is parsed, what is refused, and exact round trips."""

import json

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.rpc.settings import INEXACT, of, read, write

quick = settings(max_examples=50, deadline=None, derandomize=True)

counts = st.integers(1, 1_000_000)
above_zero = st.floats(1e-300, 1e300)
specs = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(st.characters(categories=["L", "N"]), max_size=100),
        "attack": st.floats(0, 1),
        "attack_name": st.text(max_size=20),
        "scale": above_zero,
        "clients": st.just(0) | st.integers(100, 1_000_000),
        "min_clients": counts,
        "samples": st.integers(0, 1_000_000),
        "rounds": counts,
        "threshold": st.integers(1, 100),
        "rule": st.text(max_size=20),
        "model": st.text(max_size=20),
        "lr": above_zero,
        "momentum": st.floats(0, 1, exclude_max=True),
        "epochs": counts,
        "batch": counts,
        "dataset": st.text(max_size=20),
        "partition": st.text(max_size=20),
        "init": st.sampled_from(["pretrained", "random"]),
        "seed": st.integers(0, 2**64 - 1),
        "deadline": st.floats(1e-9, 86_400),
        "device": st.sampled_from(["cpu", "cuda"]),
        "trainer": st.sampled_from(["auto", "cohort", "loop"]),
    },
)


@quick
@given(specs)
def test_a_specification_round_trips_exactly(settings):
    spec = ExperimentSpec.of(settings)
    message = Struct.FromString(write(spec).SerializeToString())
    assert read(message) == spec
    assert read(as_json(json_format.MessageToJson(message))) == spec


def as_json(text: str) -> Struct:
    """Return the message that grpcurl makes of JSON text."""
    return json_format.Parse(text, Struct())


def test_json_of_grpcurl_is_parsed():
    """Texts that were valid when the message had a field for every setting stay valid."""
    for text, wanted in (
        ('{"attack": 0.2, "attack_name": "mpaf"}', {"attack": 0.2, "attack_name": "mpaf"}),
        ('{"attackName": "alie", "minClients": 3, "clients": 0}', {"attack_name": "alie"}),
        ('{"rounds": 2, "samples": 100.0, "clients": "10"}', {"rounds": 2, "samples": 100}),
        ('{"seed": "18446744073709551615"}', {"seed": 2**64 - 1}),
        ('{"seed": 9007199254740991}', {"seed": 2**53 - 1}),
        ('{"threshold": null, "scale": 1e30, "lr": 1}', {"threshold": None, "scale": 1e30}),
        ('{"optimizer": "adam"}', {"momentum": 0.0}),
        ("{}", ExperimentSpec().model_dump()),
        # Given as what protobuf calls the default of a type is given all the same.
        ('{"attack": 0, "samples": 0}', {"attack": 0.0, "samples": 0}),
    ):
        spec = read(as_json(text)).model_dump()
        assert {name: spec[name] for name in wanted} == wanted, text


def test_an_invalid_setting_is_named():
    for fields, name in (
        ({"attack": 1.5}, "ATTACK"),
        ({"attack": float("nan")}, "ATTACK"),
        ({"attack": True}, "ATTACK"),
        ({"clients": 1_000_001}, "CLIENTS"),
        ({"clients": 2.5}, "CLIENTS"),
        ({"min_clients": 0}, "MIN_CLIENTS"),
        ({"rounds": 2**32 - 1}, "ROUNDS"),
        ({"threshold": 101}, "THRESHOLD"),
        ({"momentum": 1.0}, "MOMENTUM"),
        ({"optimizer": "adam", "momentum": 0.9}, "MOMENTUM"),
        ({"lr": float("inf")}, "LR"),
        ({"deadline": 0.0}, "DEADLINE"),
        ({"rule": 7}, "RULE"),
        ({"rule": ["krum"]}, "RULE"),
        ({"rule": {"name": "krum"}}, "RULE"),
        ({"name": "../../etc/passwd\x00"}, "NAME"),
        ({"atack": 0.2}, "atack"),
        ({"attack_name": "mpaf", "attackName": "alie"}, "attackName"),
    ):
        message = Struct()
        message.update(fields)
        with pytest.raises(InvalidValue) as caught:
            read(message)
        assert caught.value.name == name, fields


def test_a_number_inexact_in_json_is_refused():
    for number in (INEXACT, INEXACT + 1, 2**64 - 1):
        with pytest.raises(InvalidValue, match="as text") as caught:
            read(as_json(json.dumps({"seed": number})))
        assert caught.value.name == "SEED"
        assert read(of({"seed": number})).seed == number, "which of and write send as text"


def test_the_training_message_has_only_settings_of_training():
    spec = ExperimentSpec(attack_name="alie", rule="krum", lr=0.5, clip=2, seed=7, name="secret")
    told = dict(write(spec, training=True).items())
    assert (told["lr"], told["clip"]) == (0.5, 2)
    for name in ("attack", "attack_name", "rule", "audit", "seed", "name", "leaked", "intrusions"):
        assert name not in told
    assert read(write(spec, training=True)).training == spec.training
