"""An attack that cannot work with so many participants, or under a rule, is refused beforehand.

Else its worker would fail in every round, and the results would say that the attack cost nothing.
"""

import dataclasses
from contextlib import nullcontext

import pytest
import torch

from fedsiege import attacks
from fedsiege.attacks import Knowledge, Setting
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from tests.cases import each

COMPROMISED = [cls.name for cls in attacks.registry if cls().knows is not Knowledge.NONE]
VARIANTS = [
    *COMPROMISED,
    *(
        f"{name}:knowledge=full"
        for name in ("alie", "fang-krum", "fang-trimmed-mean", "ipm", "mimic", "min-max", "min-sum")
    ),
    "alie:z=1",
    "gaussian:form=fitted",
    "gaussian:form=fitted,knowledge=full",
    "sign-flip:form=mean,knowledge=full",
]


@each("text", VARIANTS)
@each(
    ("benign", "hostile"),
    [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (4, 2), (2, 3), (5, 3), (9, 4), (4, 5)],
)
def test_what_is_refused_beforehand_is_what_would_fail_in_a_round(text, benign, hostile, tell):
    attack = attacks.parse(text)
    rows = torch.randn(benign + hostile, 6, generator=torch.Generator().manual_seed(0))
    told = tell(rows[:hostile], rows[hostile:], "median", benign + hostile)
    if attack.knows is Knowledge.PARTIAL:
        told = dataclasses.replace(told, benign=None, benign_indices=())
    refused = None
    try:
        attack.check(Setting(benign, hostile, "median"))
    except UnfitRound as error:
        refused = error
    with pytest.raises(UnfitRound) if refused else nullcontext() as failed:
        attack.craft(told, told.hostile)
    if refused:
        assert str(failed.value) == str(refused)


@each("name", [n for n in COMPROMISED if not n.startswith("adaptive")])
def test_partial_knowledge_goes_by_its_own_updates_alone(name, tell):
    """Whatever lies beside them: what benign participants send is not looked at."""
    rows = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
    attack = attacks.create(name)
    sent = [
        attack.craft(told, told.hostile)
        for benign in (rows[6:], -5 * rows[6:])
        for told in [tell(rows[:6], benign, "median", 16)]
    ]
    assert attack.knows is Knowledge.PARTIAL, f"leave {name} out: by default it knows more"
    assert torch.equal(*sent)


@each(
    ("settings", "problem"),
    [
        ({"attack": 0.6, "attack_name": "alie"}, "60 of 100 participants are hostile"),
        ({"attack": 0.02, "attack_name": "alie"}, "too few to shift"),
        ({"attack": 0.01, "attack_name": "min-max"}, "at least 2 .* hostile .* there are 1"),
        ({"attack": 1, "attack_name": "ipm:knowledge=full"}, "at least 1 .* benign .* there are 0"),
        ({"attack": 0.03, "attack_name": "fang-krum"}, "= 5 updates, there are 4"),
        ({"attack_name": "mimic:target=100"}, "participants are 0 to 99"),
        ({"attack_name": "adaptive-ipm", "rule": "fltrust"}, "cannot try fltrust"),
        ({"attack_name": "adaptive-alie", "rule": "fednova"}, "needs to know the round's steps"),
        (
            {"attack_name": "adaptive-alie", "rule": "nnm/fedavg:weighted=true"},
            "needs to know the round's weights",
        ),
    ],
)
def test_an_experiment_is_refused_before_anything_starts(settings, problem):
    with pytest.raises(InvalidValue, match=problem) as refused:
        resolve(ExperimentSpec(**settings))
    assert refused.value.name == "ATTACK_NAME"
    assert refused.value.value == settings["attack_name"]


@each(
    ("settings", "problem"),
    [
        # One or two of 50: one has no deviation, two are too few to shift anything.
        ({"attack": 0.02, "attack_name": "alie", "participation": 0.5}, "no round .* 1 of them ho"),
        ({"attack": 0.6, "attack_name": "alie", "clients": 10}, "6 of 10 participants are hostile"),
        # All 10 that may be drawn are hostile: no benign update is ever seen.
        (
            {"attack": 1, "attack_name": "ipm:knowledge=full", "participation": 0.1},
            "no round .* at least 1 .* benign",
        ),
        ({"attack_name": "mimic:target=100", "participation": 0.5}, "participants are 0 to 99"),
        (
            {"attack_name": "mimic:target=99"},
            "=99 is benign.* the hostile ones are 2, 7, 12, .* 97",
        ),
        ({"attack_name": "mimic:target=97,knowledge=full"}, "=97 is hostile, .* of the benign"),
        ({"attack_name": "adaptive-ipm", "rule": "fltrust", "participation": 0.5}, "cannot try"),
        ({"attack_name": "adaptive-ipm", "rule": "fltrust", "clients": 0}, "cannot try fltrust"),
        ({"attack_name": "alie", "attack": 0.6, "clients": 0}, "no round .* they are a majority"),
    ],
)
def test_where_who_will_be_there_is_not_known_what_can_never_work_is_refused(settings, problem):
    with pytest.raises(InvalidValue, match=problem) as refused:
        resolve(ExperimentSpec(**settings))
    assert refused.value.name == "ATTACK_NAME"


@each(
    "settings",
    [
        {"attack": 0, "attack_name": "alie"},
        {"attack": 0.2, "attack_name": "alie", "clients": 0},
        {"attack": 0.01, "attack_name": "min-max", "clients": 0},
        {"attack_name": "mimic:target=97", "participation": 0.1},
        {"attack_name": "mimic:target=99,knowledge=full", "participation": 0.1},
        {"attack_name": "mimic:target=1000", "clients": 0},
        {"attack_name": "adaptive-alie", "rule": "krum:f=30", "clients": 0},
        {"attack_name": "adaptive-alie", "rule": "krum", "participation": 0.1},
    ],
)
def test_what_may_work_in_some_round_is_not_refused(settings):
    assert not any("does not work" in note for note in resolve(ExperimentSpec(**settings)).notes)


def test_what_does_not_work_in_the_likeliest_round_is_noted():
    """Two of ten are hostile, so of five mostly one; but both may be drawn."""
    spec = ExperimentSpec(clients=10, participation=0.5, attack_name="min-max")
    (note,) = [note for note in resolve(spec).notes if "does not work" in note]
    assert "min-max does not work in a round of 5 participants, 1 of them hostile" in note


@pytest.mark.parametrize("name", ["adaptive-alie", "adaptive-ipm"])
def test_rules_that_can_be_tried_are_not_refused(name):
    for rule in ("median", "krum:f=4", "sentinel", "nnm:f=4/multi-krum:f=4", "fedredefense"):
        attacks.create(name).check(Setting(16, 4, rule))
