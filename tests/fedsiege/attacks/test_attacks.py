"""What holds for every attack of a fake client that knows the broadcast model only."""

import dataclasses
import math

import pytest
import torch

from fedsiege import attacks
from fedsiege.attacks import Broadcast, Knowledge
from fedsiege.errors import InvalidValue
from tests.cases import each

#: Attacks that need a real architecture, which the model of three weights here is not: see
#: test_adaptive_fakes.
ADAPTIVE = [
    "ad-anti",
    "ad-drift",
    "ad-hist",
    "ad-mpaf",
    "ad-sgn",
    "ad-sleep",
    "ad-synth",
    "ad-synthp",
]
FAKES = [
    cls.name
    for cls in attacks.registry
    if cls().knows is Knowledge.NONE and cls.name not in ADAPTIVE
]
VARIANTS = [
    *FAKES,
    "flooding:own_base=true",
    "free-rider:kind=stale",
    "mpaf-spread:own_base=false,noise=0.5",
    "mpaf-spread:noise=0.5",
]
SCALED = [
    "flooding",
    "forged-metadata",
    "history",
    "mpaf",
    "mpaf-spread",
    "mpaf-spread:noise=0.5",
    "random",
]
POSITIVE = [
    *((name, "norm") for name in ADAPTIVE if name != "ad-sleep"),
    *((name, "noise") for name in ADAPTIVE if not name.startswith("ad-synth")),
    ("ad-sleep", "c"),
    ("flooding", "scale"),
    ("history", "scale"),
    ("mpaf", "scale"),
    ("mpaf-matched", "c"),
    ("mpaf-spread", "scale"),
    ("poisonedfl", "c"),
    ("poisonedfl-noise", "c"),
    ("poisonedfl-noise", "noise"),
    ("random", "scale"),
    ("replay", "scale"),
]
#: Whole numbers, with the most that there may be.
COUNTS = [("ad-sleep", "rounds", None), ("flooding", "identities", 1000), ("replay", "delay", 100)]

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(params=[None, [0.5, 0.0, -1.0]], ids=["first round", "later round"])
def broadcast(request, hear) -> Broadcast:
    return hear([1.0, -2.0, 0.25], previous=request.param)


def test_attacks_that_know_the_broadcast_model_only():
    assert all(attacks.create(name).knows is Knowledge.NONE for name in ADAPTIVE)
    known = {
        "absent",
        "flooding",
        "forged-metadata",
        "free-rider",
        "history",
        "mpaf",
        "mpaf-matched",
        "mpaf-spread",
        "poisonedfl",
        "poisonedfl-noise",
        "random",
        "replay",
    }
    assert known <= set(FAKES)


@each("cls", attacks.registry)
def test_they_are_summed_up_in_a_line(cls):
    assert 0 < len(cls.summary) < 90


@pytest.mark.parametrize("text", VARIANTS)
def test_one_float32_row_per_participant(text, broadcast):
    updates = attacks.parse(text).craft(broadcast, [2, 5, 9])
    assert updates.shape == (3, 3)
    assert updates.dtype == torch.float32
    assert updates.isfinite().all()
    assert attacks.parse(text).craft(broadcast, []).shape == (0, 3)


@pytest.mark.parametrize("text", VARIANTS)
def test_the_split_over_workers_changes_nothing(text, broadcast):
    together = attacks.parse(text).craft(broadcast, [2, 5, 9])
    apart = [attacks.parse(text).craft(broadcast, part) for part in ([2], [5, 9])]
    assert torch.equal(together, torch.cat(apart))


@pytest.mark.parametrize("text", VARIANTS)
def test_what_was_broadcast_stays_as_it_was(text, broadcast):
    model = broadcast.model.clone()
    previous = None if broadcast.previous is None else broadcast.previous.clone()
    attacks.parse(text).craft(broadcast, [0, 1])
    assert torch.equal(broadcast.model, model)
    assert previous is None or torch.equal(broadcast.previous, previous)


@pytest.mark.parametrize("text", SCALED)
def test_lambda_of_a_million_is_exact_and_finite(text, hear):
    broadcast = hear([1.0, -2.0, 0.25], previous=[0.5, 0.0, -1.0])
    attack = attacks.parse(text)
    by_a_million = dataclasses.replace(attack, scale=1e6).craft(broadcast, [1, 2])
    assert by_a_million.isfinite().all()
    expected = attack.craft(broadcast, [1, 2]).double() * 1e6
    torch.testing.assert_close(by_a_million.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("text", SCALED)
def test_lambda_beyond_float32_overflows_to_infinity_and_never_to_nan(text, hear):
    broadcast = hear([1.0, -1.0, 0.25], previous=[0.5, -1.0, -1.0])
    updates = dataclasses.replace(attacks.parse(text), scale=1e300).craft(broadcast, [1, 2])
    assert updates.isinf().any()
    assert not updates.isnan().any()


def test_lambda_beyond_float32_leaves_finite_what_is_finite(hear):
    broadcast = hear([3.0, -1.0 + 2**-20, 0.0])
    updates = attacks.create("mpaf", scale=1e40).craft(broadcast, [1])
    assert updates[0].tolist() == [0.0, pytest.approx(-1e40 / 2**20), math.inf]


@each("text", VARIANTS)
@each("broken", [math.nan, math.inf, -math.inf, 3e38])
def test_a_destroyed_model_does_not_stop_the_fakes(text, broken, hear):
    broadcast = hear([broken, 1.0, 0.0], previous=[-3e38, 0.0, 0.0])
    updates = attacks.parse(text).craft(broadcast, [1, 2])
    assert updates.shape == (2, 3)


@each(("name", "parameter"), POSITIVE)
@each("value", [0, -1.0, math.nan, math.inf, True, "much"])
def test_strength_must_be_a_finite_number_above_zero(name, parameter, value):
    with pytest.raises(InvalidValue, match="finite number above 0") as caught:
        attacks.create(name, **{parameter: value})
    assert caught.value.name == f"{name}:{parameter}"


@pytest.mark.parametrize(("name", "parameter", "most"), COUNTS)
def test_counts_are_whole_numbers_within_their_range(name, parameter, most):
    too_many = [] if most is None else [most + 1]
    for value in (0, -1, 2.0, True, *too_many):
        with pytest.raises(InvalidValue, match="a whole number") as caught:
            attacks.create(name, **{parameter: value})
        assert caught.value.name == f"{name}:{parameter}"
    for value in (1, most or 10**6):
        assert getattr(attacks.create(name, **{parameter: value}), parameter) == value


@each("cls", attacks.registry)
def test_each_participant_is_one_but_for_those_that_stay_away_or_flood(cls):
    expected = {"absent": 0, "flooding": 10}.get(cls.name, 1)
    assert cls().aliases == expected, f"add {cls.name} here if a participant sends more or nothing"


@each("text", [*ADAPTIVE, *VARIANTS, "mpaf:scale=1e6,base=models/other.safetensors"])
def test_spelt_out_they_read_back(text):
    attack = attacks.parse(text)
    assert attacks.parse(attacks.spell(attack)) == attack


@pytest.mark.parametrize(
    "name", ["ad-anti", "ad-hist", "mimic", "poisonedfl", "poisonedfl-noise", "replay"]
)
def test_a_memory_that_cannot_be_its_own_is_refused(name, tell):
    """To take it for none would begin the campaign again."""
    told = dataclasses.replace(tell([[1.0, 2.0], [2.0, 1.0]]), previous=torch.ones(2))
    with pytest.raises(InvalidValue, match=f"{name} state='str'"):
        attacks.create(name).advance(told, [1, 4], "something else")
