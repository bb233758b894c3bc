"""What holds for every attack by compromised participants on their own updates."""

import dataclasses
import math

import pytest
import torch

from fedsiege import attacks, rules
from fedsiege.attacks import Broadcast, CompromisedAttack, Knowledge
from fedsiege.errors import InvalidValue, UnfitRound
from tests.cases import each

HOSTILE, BENIGN, SIZE = 10, 40, 60

#: Each attack with a rule that it defeats, and by how much more than the same participants did
#: harm had they sent what they trained.
WINS = {
    "sign-flip": ("fedavg", 1.5),
    "sign-flip:form=mean": ("fedavg", 1.5),
    "sign-flip:form=mean,knowledge=full": ("fedavg", 1.5),
    "scaling": ("fedavg", 3),
    "gaussian": ("fedavg", 100),
    "gaussian:form=add,sigma=10": ("fedavg", 5),
    "gaussian:form=fitted,sigma=20": ("fedavg", 5),
    "gaussian:form=fitted,knowledge=full,sigma=20": ("fedavg", 5),
    "ipm": ("fedavg", 1.5),
    "ipm:knowledge=full": ("fedavg", 1.5),
    "ipm:knowledge=full,eps=0.1": ("krum:f=10", 1.05),
    "alie": ("trimmed-mean:f=10", 1.5),
    "alie:knowledge=full": ("trimmed-mean:f=10", 1.05),
    "alie:z=1.5": ("median", 2),
    "min-max": ("trimmed-mean:f=10", 2),
    "min-max:knowledge=full": ("trimmed-mean:f=10", 2),
    "min-max:knowledge=full,perturbation=unit": ("fedavg", 2),
    "min-max:knowledge=full,perturbation=sign": ("trimmed-mean:f=10", 2),
    "min-sum": ("trimmed-mean:f=10", 2),
    "min-sum:knowledge=full": ("trimmed-mean:f=10", 2),
    "min-sum:knowledge=full,perturbation=unit": ("fedavg", 2),
    "min-sum:knowledge=full,perturbation=sign": ("trimmed-mean:f=10", 2),
    "fang-trimmed-mean": ("trimmed-mean:f=10", 2),
    "fang-trimmed-mean:knowledge=full": ("trimmed-mean:f=10", 2),
    "fang-krum": ("krum:f=10", 1.05),
    "fang-krum:knowledge=full": ("krum:f=10", 1.05),
    "mimic": ("fedavg", 1.5),
    "mimic:knowledge=full": ("fedavg", 1.5),
    "mimic:knowledge=full,target=0": ("fedavg", 1.5),
    "adaptive-ipm": ("krum:f=10", 1.05),
    "adaptive-alie": ("median", 2),
}
#: They need two updates to tell a spread.
SPREAD = ["alie:z=1", "gaussian:form=fitted", "min-max", "min-sum", "fang-trimmed-mean", "mimic"]
SAMPLED = ["ipm", "sign-flip:form=mean", *SPREAD]


def updates(seed: int = 0) -> torch.Tensor:
    """``(50, 60)``: one direction of length 1, and noise of length 1 of each participant's own."""
    draw = torch.Generator().manual_seed(seed)
    direction = torch.randn(SIZE, generator=draw)
    noise = torch.randn(HOSTILE + BENIGN, SIZE, generator=draw)
    return (direction + noise) / SIZE**0.5


@pytest.fixture
def broadcast(tell) -> Broadcast:
    rows = updates()
    return tell(rows[:HOSTILE], rows[HOSTILE:], "median", participants=len(rows))


def entitled(text: str, broadcast: Broadcast) -> Broadcast:
    """Leave what the attack may not know out of what it is told."""
    if attacks.parse(text).knows is Knowledge.FULL:
        return broadcast
    return dataclasses.replace(broadcast, benign=None, benign_indices=(), rule="")


@pytest.mark.parametrize("text", WINS)
def test_one_float32_row_per_participant(text, broadcast):
    told = entitled(text, broadcast)
    crafted = attacks.parse(text).craft(told, told.hostile)
    assert crafted.shape == (HOSTILE, SIZE)
    assert crafted.dtype == torch.float32
    assert crafted.isfinite().all()
    assert attacks.parse(text).craft(told, []).shape == (0, SIZE)


@pytest.mark.parametrize("text", WINS)
def test_the_split_over_workers_changes_nothing(text, broadcast):
    told = entitled(text, broadcast)
    together = attacks.parse(text).craft(told, told.hostile)
    apart = [attacks.parse(text).craft(told, part) for part in (told.hostile[:3], told.hostile[3:])]
    assert torch.equal(together, torch.cat(apart))


@pytest.mark.parametrize("text", WINS)
def test_what_was_told_stays_as_it_was(text, broadcast):
    told = entitled(text, broadcast)
    before = [t.clone() for t in (told.own, told.benign, told.model) if t is not None]
    attacks.parse(text).craft(told, told.hostile)
    after = [t for t in (told.own, told.benign, told.model) if t is not None]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@each("text", WINS)
def test_spelt_out_they_read_back(text):
    attack = attacks.parse(text)
    assert attacks.parse(attacks.spell(attack)) == attack


@pytest.mark.parametrize("text", WINS)
def test_it_does_more_harm_than_honest_updates_would(text, broadcast):
    rule, factor = WINS[text]
    told = entitled(text, dataclasses.replace(broadcast, rule=rule))
    assert broadcast.benign is not None
    assert broadcast.own is not None
    benign = broadcast.benign

    def harm(rows: torch.Tensor) -> float:
        update = rules.parse(rule)(torch.cat((rows, benign))).update
        return float((update - benign.mean(dim=0)).norm())

    crafted = attacks.parse(text).craft(told, told.hostile)
    assert harm(crafted) > factor * harm(broadcast.own)


@pytest.mark.parametrize("text", SAMPLED)
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_updates_that_no_aggregator_takes_do_not_count(text, broken, broadcast):
    assert broadcast.own is not None
    own = broadcast.own.clone()
    own[4, 7] = broken
    attack = attacks.parse(text)
    with_it = attack.craft(dataclasses.replace(broadcast, own=own, benign=None), [1, 4])
    rest = [i for i in range(HOSTILE) if i != 4]
    fewer = {"own": own[rest], "hostile": tuple(broadcast.hostile[i] for i in rest)}
    without = attack.craft(dataclasses.replace(broadcast, **fewer, benign=None), [1, 4])
    assert with_it.isfinite().all()
    assert torch.equal(with_it, without)


@pytest.mark.parametrize("text", SPREAD)
def test_one_update_has_no_spread(text, tell):
    with pytest.raises(UnfitRound, match=r"at least 2 usable .*knowledge=partial.*there are 1"):
        attacks.parse(text).craft(tell([[1.0, 2.0]], participants=5), [1])


@pytest.mark.parametrize("text", ["sign-flip", "sign-flip:form=mean", "ipm:eps=1"])
def test_one_update_has_a_mean(text, tell):
    assert attacks.parse(text).craft(tell([[1.0, -2.0]]), [1]).tolist() == [[-1.0, 2.0]]


@each("text", [text for text in SAMPLED if "target" not in text])
def test_a_round_without_benign_updates_says_so(text, tell):
    told = tell([[1.0, 2.0]], benign=torch.empty(0, 2))
    attack = dataclasses.replace(attacks.parse(text), knowledge="full")
    with pytest.raises(UnfitRound, match=r"benign .*knowledge=full.*there are 0"):
        attack.craft(told, [1])


@each(
    "cls",
    [cls for cls in attacks.registry if issubclass(cls, CompromisedAttack)],
)
def test_there_are_two_levels_of_knowledge(cls):
    with pytest.raises(InvalidValue, match="full") as caught:
        cls(knowledge="none")
    assert caught.value.name == f"{cls.name}:knowledge"


@each(
    ("name", "parameter"),
    [
        ("sign-flip", "scale"),
        ("scaling", "factor"),
        ("gaussian", "sigma"),
        ("ipm", "eps"),
        ("fang-trimmed-mean", "b"),
    ],
)
@each("value", [0, -1.0, math.nan, math.inf, True, "much"])
def test_strength_must_be_a_finite_number_above_zero(name, parameter, value):
    with pytest.raises(InvalidValue, match=r"finite number above [01]") as caught:
        attacks.create(name, **{parameter: value})
    assert caught.value.name == f"{name}:{parameter}"


@each(
    ("text", "allowed"),
    [
        ("sign-flip:form=gradient", "take sign-flip-gradient"),
        ("sign-flip:knowledge=full", "partial with form=own"),
        ("gaussian:form=shrink", "replace, add or fitted"),
        ("gaussian:knowledge=full", "partial with form=replace"),
        ("min-max:perturbation=random", "std, unit or sign"),
        ("min-sum:perturbation=random", "std, unit or sign"),
        ("fang-trimmed-mean:b=1", "above 1"),
        ("alie:z=0", "other than 0"),
        ("alie:z=inf", "other than 0"),
        ("mimic:warmup=0", "1 or more"),
        ("mimic:target=-1", "0 or more"),
        ("adaptive-ipm:evals=2", "3 or more"),
        ("adaptive-alie:knowledge=partial", "full: it takes the benign updates"),
    ],
)
def test_what_is_out_of_range_says_what_is_allowed(text, allowed):
    with pytest.raises(InvalidValue, match=allowed):
        attacks.parse(text)
