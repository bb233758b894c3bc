"""The same specification and seed give the same run, over a real network."""

import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from fedsiege.spec import ExperimentSpec
from services.attacker.crew import HostileCrew
from services.client.crew import BenignCrew
from services.wire.submitting import Update
from services.wire.tensors import Floats


@pytest.fixture
def disorder(monkeypatch):
    """Shuffle what every worker sends, differently in every round and run."""
    dice = random.Random(7)
    seen: list[list[int]] = []

    def shuffled(crew: type) -> None:
        honest = crew.updates

        def updates(
            self, round_number: int, weights: Floats, indices: Sequence[int]
        ) -> Iterator[list[Update]]:
            everything = [
                one for block in honest(self, round_number, weights, indices) for one in block
            ]
            dice.shuffle(everything)
            seen.append([one.index for one in everything])
            yield everything

        monkeypatch.setattr(crew, "updates", updates)

    shuffled(BenignCrew)
    shuffled(HostileCrew)
    return seen


@pytest.mark.parametrize("rule", ["fedavg", "median", "multi-krum"])
async def test_the_order_of_arrival_changes_no_bit(town, disorder, rule):
    spec = ExperimentSpec(dataset="digits", rounds=3, clients=40, rule=rule)
    first = await town.run(spec, clients=[16, 16], attackers=[8])
    second = await town.run(spec)
    assert disorder[0] != disorder[len(disorder) // 2], "the order did differ"
    assert first.accuracies == second.accuracies
    assert [entry.loss for entry in first.history] == [entry.loss for entry in second.history]
    for one, other in zip(first.models, second.models, strict=False):
        np.testing.assert_array_equal(one, other)


async def test_one_worker_or_four_make_the_same_history(town):
    """One by one, each participant's numbers do not depend on who shares its worker."""
    spec = ExperimentSpec(dataset="digits", rounds=3, trainer="loop")
    whole = await town.run(spec, clients=[80], attackers=[20])
    for name in ("client-0", "attacker-0"):
        await town.dismiss(name)
    split = await town.run(spec, clients=[20, 20, 20, 20], attackers=[10, 10])
    assert whole.accuracies == split.accuracies
    np.testing.assert_array_equal(whole.models[-1], split.models[-1])


async def test_another_seed_makes_another_run(town):
    spec = ExperimentSpec(dataset="digits", rounds=2, clients=10)
    first = await town.run(spec, clients=[8], attackers=[2])
    second = await town.run(spec.model_copy(update={"seed": 1}))
    assert not np.array_equal(first.models[-1], second.models[-1])
