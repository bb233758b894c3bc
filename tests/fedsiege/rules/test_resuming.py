"""A federation that is put aside in the middle and goes on from bytes, as if it had not been."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fedsiege import models, rules
from fedsiege.rules import Aggregation, RoundContext, StatefulRule, state
from fedsiege.training.base import Shard
from tests.cases import each

REMEMBERING = [cls.name for cls in rules.registry if issubclass(cls, StatefulRule)]
#: Rules that work on a real model, and quicker here than by default.
REAL = {"fedredefense": "fedredefense:iterations=2", "specguard": "specguard:root=10,every=3"}
TEXTS = [*(REAL.get(name, name) for name in REMEMBERING), "fldetector:window=2", "nnm/foolsgold"]
ROUNDS = 5


def played(text: str, between: Callable[[int, Any], object]) -> list[Aggregation]:
    """Return what a rule makes of rounds in which someone else stays away each time.

    Args:
        text: the rule.
        between: what is made of the memory after a round, by its number.
    """
    rule, memory, results = rules.parse(text), None, []
    real = text.partition(":")[0] in REAL
    generator = torch.Generator().manual_seed(0)
    model = models.random_weights("net", 0) if real else torch.zeros(40)
    images = torch.randn(10, 1, 28, 28, generator=generator)
    context = RoundContext(
        architecture="net" if real else "",
        layout=models.layout("net") if real else [("weight", (40,))],
        root=Shard(images, torch.arange(10)),
        seed=4,
    )
    n = 4 if real else 12
    for number in range(1, ROUNDS + 1):
        updates = 0.01 * torch.randn(n, len(model), generator=generator)
        updates += 0.02 * torch.linspace(0, 1, n)[:, None]  # some are more like one another
        updates[:2] = 0.1 * (1 - model)
        there = (torch.arange(n) != number).nonzero().flatten()
        told = replace(context, participants=there, round_number=number, model=model)
        result = rule(updates[there], context=told, state=memory)
        results.append(result)
        model, memory = model + result.update, between(number, result.state)
    return results


def kept(number: int, memory: object) -> object:
    return memory


def put_aside(number: int, memory: object) -> object:
    return state.from_bytes(state.to_bytes(memory), type(memory))


def forgotten(number: int, memory: object) -> object:
    return memory if number < ROUNDS - 1 else None


def same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other is None or (one is not None and other is not None and one.equal(other))


@each("text", TEXTS)
def test_a_rule_goes_on_from_bytes_to_the_same_bits(text: str) -> None:
    for one, other in zip(played(text, kept), played(text, put_aside), strict=True):
        assert same(one.update, other.update)
        assert same(one.accepted, other.accepted)
        assert same(one.scores, other.scores)


@each("text", TEXTS)
def test_what_it_remembers_matters(text: str) -> None:
    """Begun anew in the last round it comes to something else: so the test above says something."""
    last, anew = played(text, kept)[-1], played(text, forgotten)[-1]
    assert not (same(last.update, anew.update) and same(last.scores, anew.scores))
