"""Tests of recording that is slower than the rounds: it delays the run and loses no round."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from fedsiege.services.aggregator.federation import ROUNDS_IN_DETAIL
from fedsiege.services.simulator.attack_success import AttackSuccessRates
from fedsiege.services.simulator.experiment import MOST_UNRECORDED
from fedsiege.services.simulator.remote_federation import RemoteFederation
from fedsiege.v1 import simulator_pb2 as pb

ROUNDS = ROUNDS_IN_DETAIL + 10
#: Seconds for which the first recording waits for all rounds, which are played in less.
HELD_UP = 1.0


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Hold the recording of round 1 up while other rounds open; return the rounds opened so far."""
    numbers: list[int] = []
    opening, measuring = RemoteFederation.open_round, AttackSuccessRates.rate
    federations: list[RemoteFederation] = []

    async def open_round(self, number: int, *arguments: object) -> None:
        numbers.append(number)
        federations.append(self)
        await opening(self, number, *arguments)

    async def rate(self, number: int):
        if number == 1:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELD_UP):
                    await federations[0].has_aggregated(ROUNDS)
        if number > 0:
            at_recording.append(len(numbers))
        return await measuring(self, number)

    at_recording: list[int] = []
    monkeypatch.setattr(RemoteFederation, "open_round", open_round)
    monkeypatch.setattr(AttackSuccessRates, "rate", rate)
    return at_recording


async def test_slow_recording_slows_the_run_and_loses_no_round(simulator, opened):
    started = await simulator.start(attack=0.0, rounds=ROUNDS)
    puppet = await simulator.attached("a", 5)
    await puppet.play_on(await puppet.join())
    experiment = await simulator.get(started.experiment_id)
    assert (experiment.state, experiment.problem) == (pb.EXPERIMENT_STATE_FINISHED, "")
    assert [entry.round for entry in experiment.historical_accuracy] == list(range(ROUNDS + 1))
    assert (Path(experiment.results) / "history.csv").read_text().count("\n") == ROUNDS + 2
    assert opened[0] == 1 + MOST_UNRECORDED, "as many rounds as may wait, and no more"
    ahead = [count - number for number, count in enumerate(opened, 1)]
    assert max(ahead) == MOST_UNRECORDED < ROUNDS_IN_DETAIL


async def test_recording_that_fails_while_a_round_waits_for_it_ends_the_run(
    simulator, opened, monkeypatch
):
    held_up = AttackSuccessRates.rate

    async def rate(self, number: int):
        await held_up(self, number)
        if number > 0:
            raise OSError("no space left on device")

    monkeypatch.setattr(AttackSuccessRates, "rate", rate)
    started = await simulator.start(attack=0.0, rounds=ROUNDS)
    puppet = await simulator.attached("a", 5)
    await puppet.play_on(await puppet.join())
    experiment = await simulator.get(started.experiment_id)
    assert opened == [1 + MOST_UNRECORDED], "the next round waited"
    assert experiment.state == pb.EXPERIMENT_STATE_FAILED
    assert "no space left on device" in experiment.problem
