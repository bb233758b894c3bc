"""Updates at the end of float32, round after round: what a rule remembers of one harms no other."""

import dataclasses

import pytest
import torch

from fedsiege import models, rules
from fedsiege.rules import FoolsGold, RoundContext, StatefulRule
from fedsiege.training.base import Shard
from tests.cases import each

LARGEST = torch.finfo(torch.float32).max
#: Rules that work on a real model, and quicker here than by default.
REAL = {"fedredefense": "fedredefense:iterations=1", "specguard": "specguard:root=10,every=2"}
TEXTS = [
    *(REAL.get(c.name, c.name) for c in rules.registry if issubclass(c, StatefulRule)),
    "centered-clipping:tau=1",
    "fldetector:window=2",
]


@each("turn", [1, -1])
@each("text", TEXTS)
def test_one_participant_harms_nobody_for_rounds(text: str, turn: int) -> None:
    """It sends the largest number in every coordinate, with the same or with another sign."""
    rule, memory = rules.parse(text), None
    real = text in REAL.values()
    generator = torch.Generator().manual_seed(0)
    model = models.random_weights("net", 0) if real else torch.zeros(20)
    context = RoundContext(
        participants=torch.arange(9),
        model=model,
        architecture="net" if real else "",
        layout=models.layout("net") if real else [("weight", (20,))],
        root=Shard(torch.randn(10, 1, 28, 28, generator=generator), torch.arange(10)),
    )
    for number in range(6):
        updates = 0.01 * torch.randn(9, len(model), generator=generator)
        updates[0] = LARGEST * turn**number
        told = dataclasses.replace(context, round_number=number + 1)
        result = rule(updates, context=told, state=memory)
        memory = result.state
        assert result.update.isfinite().all()
        assert result.scores is not None
        assert result.scores.isfinite().all()
        assert memory is not None
        remembered = dict(vars(memory))
        if text.startswith("fldetector"):  # in which NaN stands for a round not seen yet
            remembered["scores"] = remembered["scores"].nan_to_num()
        for name, value in remembered.items():
            assert torch.as_tensor(value).isfinite().all(), name


def test_the_others_have_the_weight_that_they_have_without_a_giant() -> None:
    rule, without, beside = FoolsGold(), None, None
    giant = torch.cat([torch.full((1, 10), LARGEST), torch.full((1, 10), -LARGEST)], dim=1)
    for number in range(4):
        honest = torch.randn(5, 20, generator=torch.Generator().manual_seed(number))
        honest -= honest @ giant.T.sign() / 20 * giant.sign()  # at right angles to it
        alone = rule(honest, context=RoundContext(participants=torch.arange(5)), state=without)
        joined = rule(torch.cat([honest, giant]), state=beside)
        without, beside = alone.state, joined.state
        assert alone.scores is not None
        assert joined.scores is not None
        assert joined.scores[:5].tolist() == pytest.approx(alone.scores.tolist(), abs=1e-4)
