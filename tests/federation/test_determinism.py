"""The same specification and seed give the same run, over a real network."""

import asyncio
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.attacker.participants import HostileParticipants
from fedsiege.services.client.participants import BenignParticipants
from fedsiege.services.rpc.pulling import ModelStream
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.worker.submitting import Update


@pytest.fixture
def disorder(monkeypatch):
    """Shuffle what every worker sends, differently in every round and run."""
    dice = random.Random(7)
    seen: list[list[int]] = []

    def shuffled(participants: type) -> None:
        honest = participants.updates

        def updates(
            self, round_number: int, weights: Floats, indices: Sequence[int]
        ) -> Iterator[list[Update]]:
            everything = [
                one for block in honest(self, round_number, weights, indices) for one in block
            ]
            dice.shuffle(everything)
            seen.append([one.index for one in everything])
            yield everything

        monkeypatch.setattr(participants, "updates", updates)

    shuffled(BenignParticipants)
    shuffled(HostileParticipants)
    return seen


@pytest.mark.parametrize("rule", ["fedavg", "median", "multi-krum"])
async def test_the_order_of_arrival_does_not_change_the_result(town, disorder, rule):
    spec = ExperimentSpec(dataset="digits", rounds=3, clients=40, rule=rule)
    first = await town.run(spec, clients=[16, 16], attackers=[8])
    second = await town.run(spec)
    assert disorder[0] != disorder[len(disorder) // 2], "the order did differ"
    for run in (first, second):
        written = ExperimentSpec.from_yaml((run.folder / "spec.yaml").read_text())
        assert written.trainer == "cohort", "auto is resolved before anything trains"
    assert first.accuracies == second.accuracies
    assert [entry.loss for entry in first.history] == [entry.loss for entry in second.history]
    for one, other in zip(first.models, second.models, strict=False):
        np.testing.assert_array_equal(one, other)


async def test_one_worker_or_four_make_the_same_history(town):
    """One by one, each participant's numbers do not depend on who shares its worker."""
    spec = ExperimentSpec(dataset="digits", rounds=3, trainer="loop")
    whole = await town.run(spec, clients=[80], attackers=[20])
    split = await town.run(spec, clients=[20, 20, 20, 20], attackers=[10, 10])
    assert whole.accuracies == split.accuracies
    np.testing.assert_array_equal(whole.models[-1], split.models[-1])


@pytest.mark.parametrize(
    "attack",
    [
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("history", "poisonedfl", "ad-hist")
        ),
        "mimic",
    ],
)
async def test_in_sampled_rounds_an_attack_remembers_the_same_however_many_workers(town, attack):
    """Who is not drawn sees the model of the round, too: the memory is of the run, not a worker."""
    spec = ExperimentSpec(
        dataset="digits", clients=12, attack=0.5, attack_name=attack, participation=0.5, rounds=8
    )
    spec = spec.model_copy(update={"trainer": "loop", "samples": 2, "epochs": 1, "seed": 2})
    splits = ([6], [2, 2, 2])
    runs = [await town.run(spec, clients=[6], attackers=split) for split in splits]
    for other in runs[1:]:
        assert [(e.accuracy, e.loss) for e in other.history] == [
            (e.accuracy, e.loss) for e in runs[0].history
        ]
        for one, two in zip(runs[0].models, other.models, strict=True):
            np.testing.assert_array_equal(one, two)


async def test_who_looks_late_still_sees_the_model_of_the_round(town, monkeypatch):
    """Even when the drawn have sent everything, and the next round could begin."""
    looks = []

    pull = ModelStream.pull

    async def late(*arguments, even_closed: bool = False, **more):
        if even_closed:
            looks.append(arguments)
            await asyncio.sleep(0.3)
        return await pull(*arguments, even_closed=even_closed, **more)

    spec = ExperimentSpec(
        dataset="digits", clients=8, attack=0.5, attack_name="history", participation=0.25, rounds=6
    )
    spec = spec.model_copy(update={"trainer": "loop", "samples": 2, "epochs": 1})
    whole = await town.run(spec, clients=[4], attackers=[4])
    monkeypatch.setattr(ModelStream, "pull", late)
    split = await town.run(spec, clients=[4], attackers=[1, 1, 1, 1])
    assert len(looks) > 12
    assert not any("has not observed the model" in note for note in split.experiment.notes)
    np.testing.assert_array_equal(whole.models[-1], split.models[-1])


async def test_another_seed_makes_another_run(town):
    spec = ExperimentSpec(dataset="digits", rounds=2, clients=10)
    first = await town.run(spec, clients=[8], attackers=[2])
    second = await town.run(spec.model_copy(update={"seed": 1}))
    assert not np.array_equal(first.models[-1], second.models[-1])
