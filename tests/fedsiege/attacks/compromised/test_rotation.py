"""The small space in which rules do the same, and which rules those are."""

import pytest
import torch

from fedsiege import attacks, rules
from fedsiege.attacks.compromised import adaptive
from fedsiege.attacks.compromised.rotation import ROTATING, rotates, turned
from fedsiege.rules import pre

STEPS = sorted(set(pre.names()) & ROTATING)
RULES = sorted(ROTATING - set(STEPS))


def rows(n: int = 12, d: int = 40) -> torch.Tensor:
    draw = torch.Generator().manual_seed(4)
    return torch.randn(n, d, generator=draw) + torch.randn(d, generator=draw)


@pytest.mark.parametrize("rule", [*RULES, *(f"{step}/krum:f=1" for step in STEPS)])
def test_those_listed_commute_with_rotations(rule: str) -> None:
    updates = rows()
    draw = torch.Generator().manual_seed(5)
    rotation, _ = torch.linalg.qr(torch.randn(40, 40, generator=draw))
    expected = rules.parse(rule)(updates)
    found = rules.parse(rule)(updates @ rotation)
    torch.testing.assert_close(found.update, expected.update @ rotation, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.accepted, expected.accepted)


@pytest.mark.parametrize("rule", ["median", "nnm:f=2/trimmed-mean:f=2", "sentinel", "signguard"])
def test_rules_of_coordinates_do_not(rule: str) -> None:
    assert not rotates(rule)


@pytest.mark.parametrize("rule", ["krum", "krum:f=2", "nnm:f=2/bucketing:s=2/krum"])
def test_parameters_and_steps_are_read(rule: str) -> None:
    assert rotates(rule)


def test_lengths_and_angles_stay() -> None:
    first, second = rows(6), rows(3, 40).double() * 100
    small = turned(first, second)
    assert [part.shape for part in small] == [(6, 9), (3, 9)]
    together, turned_together = torch.cat([first.double(), second]), torch.cat(small)
    inner = together @ together.T
    torch.testing.assert_close(turned_together @ turned_together.T, inner, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("rule", ["krum:f=3", "geometric-median", "nnm:f=3/multi-krum:f=3"])
@pytest.mark.parametrize("name", ["adaptive-ipm", "adaptive-alie"])
def test_an_adaptive_attack_finds_the_same_there(name, rule, tell, monkeypatch) -> None:
    updates, tried = rows(14, 300), []

    def spy(rule: str) -> bool:
        tried.append(rule)
        return False

    told = tell(updates[:3], updates[3:], rule)
    quick = attacks.parse(name).craft(told, [1])
    monkeypatch.setattr(adaptive, "rotates", spy)
    slow = attacks.parse(name).craft(told, [1])
    assert tried == [rule]
    torch.testing.assert_close(quick, slow, rtol=1e-3, atol=1e-3)
