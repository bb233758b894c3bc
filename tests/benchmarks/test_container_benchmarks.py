"""The parts of the container benchmarks that need no Docker engine."""

import json
import sys
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from benchmarks import federation as ours
from benchmarks.containers import faults, results
from benchmarks.containers.__main__ import BENCHMARKS, chosen
from benchmarks.containers.marking import LoggingSender, MarkingParticipants
from benchmarks.containers.marks import Marks
from benchmarks.processes import running
from fedsiege.errors import InvalidValue
from fedsiege.services.errors import Refusal
from fedsiege.services.worker.submitting import Sender
from fedsiege.v1 import simulator_pb2 as pb

CLIENTS = [f"client-{number}" for number in range(50)]


def test_all_are_chosen_by_default_and_an_unknown_one_is_refused() -> None:
    assert chosen([]) == list(BENCHMARKS.values())
    assert [one.name for one in chosen(["faults", "echo"])] == ["faults", "echo"]
    with pytest.raises(InvalidValue, match=r"NAME='speed'.*start, echo"):
        chosen(["speed"])


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda one: one.name)
def test_every_claim_has_one_bound_and_needs_only_what_is_measured(benchmark) -> None:
    everything = {
        (contender.name, measure): 1.0
        for contender in benchmark.contenders
        for measure in benchmark.units
    }
    assert benchmark.claims
    for claim in benchmark.claims:
        assert (claim.at_least is None) != (claim.at_most is None)
        assert isinstance(claim.figure(everything), float)


def test_affected_containers_are_shares_of_all_and_never_the_same_in_two_rounds() -> None:
    spared: set[str] = set()
    for number in range(1, 21):
        killed, paused = faults.draw_containers(0, number, CLIENTS, spared)

        assert (len(killed), len(paused)) == (10, 5)
        assert len({*killed, *paused}) == 15
        assert not spared & {*killed, *paused}
        assert faults.draw_containers(0, number, CLIENTS, spared) == (killed, paused)
        spared = {*killed, *paused}


def test_each_round_and_each_seed_affects_other_containers() -> None:
    drawn = [
        faults.draw_containers(seed, number, CLIENTS, ()) for seed in (0, 1) for number in (1, 2)
    ]

    assert len({tuple(killed) for killed, _ in drawn}) == 4


def test_a_participant_sends_its_own_marks() -> None:
    marks = Marks(100, rounds=2, participants=3)

    [updates] = MarkingParticipants(marks, within=0).updates(2, np.zeros(100, np.float32), [1])

    assert [update.index for update in updates] == [1]
    np.testing.assert_array_equal(updates[0].delta, marks.update(2, 1))
    assert updates[0].num_samples == 1, "all have the same weight in the mean"


REFUSED = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "ROUND_CLOSED", "round 7 is closed")


@pytest.mark.parametrize(("refusals", "word"), [([], "OK"), ([REFUSED], "ROUND_CLOSED")])
async def test_updates_and_their_results_are_logged(monkeypatch, capsys, refusals, word) -> None:
    async def answer(*_: object) -> list[Refusal]:
        return refusals

    monkeypatch.setattr(Sender, "submit", answer)
    participants = MarkingParticipants(Marks(100, rounds=7, participants=3), within=0)
    [updates] = participants.updates(7, np.zeros(100, np.float32), [2])

    stub = SimpleNamespace(SubmitUpdates=None)
    assert await LoggingSender(stub, "", {}).submit(7, updates, 0.0) == refusals

    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert logged == [{"round": 7, "participant": 2, "result": result} for result in ("sent", word)]


@pytest.mark.slow
def test_light_participants_take_part() -> None:
    with ours.federation("benchmarks.containers.light", participants=4) as federation:
        assert len(federation.round_seconds(clients=4, model="lenet5", rounds=2)) == 1


@pytest.mark.slow
def test_idle_streams_stay_open() -> None:
    with ours.federation(ours.ECHO, participants=1, workers=1) as federation:
        started = federation.processes[1].child.args
        address = next(one for one in started if one.startswith("--address="))
        federation.simulator.ListWorkers(pb.ListWorkersRequest(), timeout=30, wait_for_ready=True)
        idle = [sys.executable, "-m", "benchmarks.containers.idle", "attach", address]
        with running([*idle, "--streams=7"]) as holder:
            assert holder.line("open ", timeout=30) == "7"
            names: set[str] = set()
            while not {f"idle-{number}" for number in range(7)} <= names:
                listed = federation.simulator.ListWorkers(pb.ListWorkersRequest(), timeout=30)
                names = {one.worker for one in listed.workers}


def test_results_hold_every_sample_and_finding(tmp_path) -> None:
    record = {
        "name": "start",
        "title": "From up to the first round",
        "machine": {"cores": "2"},
        "measures": [{"contender": "up", "measure": "t", "unit": "s", "samples": [1.0, 3.0]}],
        "claims": [
            {"text": "t", "unit": "s", "figures": [3.0], "target": "≤ 2 s", "verdict": "NOT MET"}
        ],
        "failures": {},
        "findings": ["memory sets the limit"],
    }

    results.write(tmp_path, record)

    assert json.loads((tmp_path / "containers" / "start.json").read_text()) == record
    table = (tmp_path / "containers.md").read_text()
    assert "| up: t | 2.00 s | 1.00 .. 3.00 | 2 |  |  |" in table
    assert "| t | 3.00 s | 3.00 .. 3.00 | 1 | ≤ 2 s | **NOT MET** |" in table
    assert "- memory sets the limit" in table
    assert not list(tmp_path.glob("*.json")), "`make bench` would read it as one of its own"
