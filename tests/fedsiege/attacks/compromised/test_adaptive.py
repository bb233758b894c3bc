"""The search for the factor that does most harm under the rule that is running."""

import dataclasses

import pytest
import torch

from fedsiege import attacks, rules
from fedsiege.attacks.compromised import adaptive
from fedsiege.attacks.compromised.adaptive import maximise
from fedsiege.errors import UnfitRound
from fedsiege.rules import RoundContext

ATTACKS = ["adaptive-ipm", "adaptive-alie"]


@pytest.fixture
def rows() -> torch.Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(14, 10, generator=draw) + torch.randn(10, generator=draw)


@pytest.mark.parametrize("best", [0.0, 0.3, 6.0, 10.0, 17.0, 200.0])
def test_a_single_peak_is_found(best):
    factor, harm = maximise(lambda x: 1000 - abs(x - best), 40)
    assert factor == pytest.approx(best, abs=2.1)  # harms within a thousandth are the same
    assert harm == 1000 - abs(factor - best)


def test_a_cliff_is_found():
    """Krum is as if made for it: harm grows until the crafted rows are no longer chosen."""
    factor, _ = maximise(lambda x: x if x <= 3.7 else 0.5, 25)
    assert 3.6 < factor <= 3.7


def test_of_factors_that_do_much_the_same_harm_the_smallest_is_taken():
    """Where a rule saturates, the last digits of its harm are no reason to go on for ever."""
    factor, harm = maximise(lambda x: min(x, 2.0) + 1e-6 * x, 30)
    assert 1.998 <= factor < 2.3
    assert harm >= 1.998


def test_where_nothing_does_harm_it_does_nothing():
    assert maximise(lambda x: 0.0, 10) == (0.0, 0.0)


@pytest.mark.parametrize("evals", [3, 4, 20, 300])
def test_the_rule_is_not_tried_more_often_than_that(evals):
    for harm in (lambda x: x, lambda x: 1 / (1 + x), lambda x: min(x, 12.0)):
        calls: list[float] = []
        maximise(lambda x, harm=harm, calls=calls: calls.append(x) or harm(x), evals)
        assert len(calls) <= evals
        assert len(set(calls)) == len(calls)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("rule", ["median", "krum:f=3", "nnm:f=3/trimmed-mean:f=3"])
def test_no_factor_on_a_grid_does_more_harm(name, rule, rows, tell):
    """0 to 20 in steps of 0.1, and for ALIE both ways; a tenth may be missed on rough ground."""
    hostile, benign = rows[:3], rows[3:]
    told = tell(hostile, benign, rule)

    def harm(update: torch.Tensor) -> float:
        everyone = torch.cat((benign, update.expand(3, -1)))
        return float((rules.parse(rule)(everyone).update - benign.mean(dim=0)).norm())

    other, signs = ("ipm:eps", [1]) if name == "adaptive-ipm" else ("alie:z", [1, -1])
    fixed = [
        attacks.parse(f"{other}={sign * k / 10},knowledge=full").craft(told, [1])[0]
        for sign in signs
        for k in range(1, 201)
    ]
    found = attacks.parse(name).craft(told, [1])[0]
    assert harm(found) > 0.9 * max(harm(update) for update in fixed)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("adaptive-ipm", lambda benign: (torch.zeros(10), benign.mean(dim=0))),
        ("adaptive-alie", lambda benign: (benign.mean(dim=0), benign.std(dim=0))),
    ],
)
def test_only_the_factor_is_chosen(name, line, rows, tell):
    benign = rows[3:]
    crafted = attacks.parse(name).craft(tell(rows[:3], benign, "median"), [1, 4])
    origin, direction = line(benign)
    way = crafted[0] - origin
    assert abs(float(torch.cosine_similarity(way, direction, dim=0))) > 0.9999
    assert torch.equal(crafted[0], crafted[1])


@pytest.mark.parametrize("name", ATTACKS)
def test_another_rule_another_factor(name, rows, tell):
    crafted = {
        rule: attacks.parse(name).craft(tell(rows[:3], rows[3:], rule), [1])[0].norm()
        for rule in ("fedavg", "krum:f=3")
    }
    assert crafted["fedavg"] > 100 * crafted["krum:f=3"]  # a mean follows wherever it is led


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("", "which rule is running"),
        ("fltrust", "cannot try fltrust: it works with samples of the aggregator's own"),
        ("nnm/fltrust", "cannot try nnm/fltrust"),
        ("fednova", "cannot try the running rule: fednova needs to know the round's steps"),
        ("krum:f=7", "cannot try the running rule: krum with f=7 needs at least"),
    ],
)
def test_what_cannot_be_tried_is_said(rule, problem, rows, tell):
    with pytest.raises(UnfitRound, match=problem):
        attacks.parse("adaptive-ipm").craft(tell(rows[:3], rows[3:], rule), [1])


@pytest.mark.parametrize("rule", ["centered-clipping", "foolsgold", "fldetector", "crfl"])
def test_rules_with_a_memory_are_tried_without_it(rule, rows, tell):
    crafted = attacks.parse("adaptive-ipm:evals=5").craft(tell(rows[:3], rows[3:], rule), [1])
    assert crafted.isfinite().all()


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_benign_updates_that_the_rule_rejects_do_not_count(broken, rows, tell):
    told = tell(rows[:3], rows[3:], "median")
    benign = torch.cat((rows[3:], torch.full((1, 10), broken)))
    attack = attacks.parse("adaptive-alie")
    with_it = attack.craft(dataclasses.replace(told, benign=benign), [1])
    assert torch.equal(with_it, attack.craft(told, [1]))


@pytest.mark.parametrize("name", ATTACKS)
def test_what_the_aggregator_draws_is_not_known(name, rows, tell, monkeypatch):
    """DnC's coordinates and the order of buckets follow from the seed that a trial is given."""
    told, seeds = tell(rows[:3], rows[3:], "dnc:f=3,subsample=5"), []

    def context(**known):
        seeds.append(known["seed"])
        return RoundContext(**known)

    monkeypatch.setattr(adaptive, "RoundContext", context)
    first = attacks.parse(name).craft(told, [1])
    assert torch.equal(attacks.parse(name).craft(told, [1]), first)
    assert told.seed not in seeds
    assert len(set(seeds)) == 1
