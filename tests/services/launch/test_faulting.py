"""Faults are made in their round, ended after it, and written with the updates they cost."""

import asyncio
import csv
from pathlib import Path

import pytest

from fedsiege.experiment.faults import Fault, FaultPlan
from fedsiege.results import Outcome, ParticipantRow
from fedsiege.services.launch.base import Fleet, FleetFailed, Resources, WorkerSpec
from fedsiege.services.launch.faulting import Faulting

WORKERS = [WorkerSpec(f"client-{n}", "client", 1) for n in range(10)] + [
    WorkerSpec("attacker", "attacker", 5)
]


class RecordingFleet(Fleet):
    """A fleet without containers that records the calls."""

    faults = frozenset(Fault)

    def __init__(self) -> None:
        super().__init__(WORKERS, Resources(), Path())
        self.struck: dict[str, Fault] = {}
        self.down: set[str] = set()
        self.log: list[str] = []
        self.strikes: asyncio.Queue[str] = asyncio.Queue()

    def prepare(self):
        raise NotImplementedError

    async def start(self, endpoints, progress, note):
        raise NotImplementedError

    async def watch(self):
        raise NotImplementedError

    async def sample(self):
        raise NotImplementedError

    def remove(self, logs):
        raise NotImplementedError

    async def strike(self, container, fault):
        self.log.append(f"{fault} {container}")
        if container in self.down:
            return False
        assert container not in self.struck
        self.struck[container] = fault
        self.strikes.put_nowait(container)
        return True

    async def relieve(self, container, fault):
        self.log.append(f"end {fault} {container}")
        self.struck.pop(container, None)


def rows(accepted: set[str]) -> list[ParticipantRow]:
    return [
        ParticipantRow(
            index,
            f"{worker.name}/{slot}",
            False,
            1,
            None,
            Outcome.ACCEPTED if worker.name in accepted else Outcome.MISSING,
            False,
        )
        for index, worker in enumerate(WORKERS)
        for slot in range(worker.participants)
    ]


def read(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "faults.csv").read_text().splitlines()))


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path, notes):
    def faulting(fleet: Fleet, plan: str) -> Faulting:
        table = tmp_path / "faults.csv"
        return Faulting(fleet, FaultPlan.parse(plan), 1, table, notes.append)

    return faulting


async def test_faults_last_as_long_as_their_round(make, tmp_path, notes):
    fleet = RecordingFleet()
    faulting = make(fleet, "kill:0.2,pause:0.3,slow:0.1")
    await faulting.before(1)
    assert sorted(fleet.struck.values()) == ["pause", "pause", "pause", "slow"]
    await faulting.after(1)
    assert fleet.struck == {}
    assert sum(line.startswith("kill") for line in fleet.log) == 2
    assert sum(line.startswith("end") for line in fleet.log) == 6
    faulting.recorded(1, rows(accepted={"client-0"}))
    faulting.close()
    written = read(tmp_path)
    assert len(written) == 6
    assert len({row["container"] for row in written}) == 6
    for row in written:
        assert row["participants"] == row["container"].removeprefix("client-")
        assert row["accepted"] == str(int(row["container"] == "client-0"))
    assert notes == ["round 1: of 10 client containers 2 killed, 3 paused, 1 slowed"]


async def test_kills_happen_while_a_round_lasts(make):
    fleet = RecordingFleet()
    faulting = make(fleet, "kill:1")
    await faulting.before(1)
    async with asyncio.timeout(10):
        for _ in range(10):
            await fleet.strikes.get()
    assert not any(line.startswith("end") for line in fleet.log)
    await faulting.after(1)
    assert fleet.struck == {}
    faulting.close()


async def test_the_attacker_gets_no_faults(make):
    fleet = RecordingFleet()
    faulting = make(fleet, "kill:1")
    for number in range(1, 4):
        await faulting.before(number)
        await faulting.after(number)
    assert len(fleet.log) == 60
    assert not any("attacker" in line for line in fleet.log)
    faulting.close()


async def test_a_container_that_was_down_gets_no_fault_but_is_started_again(make, tmp_path, notes):
    fleet = RecordingFleet()
    fleet.down.update(worker.name for worker in WORKERS)
    faulting = make(fleet, "kill:0.1")
    await faulting.before(1)
    await faulting.after(1)
    faulting.recorded(1, rows(set()))
    faulting.close()
    assert [line.split()[0] for line in fleet.log] == ["kill", "end"]
    assert read(tmp_path) == []
    assert notes == []


async def test_no_fault_is_lost_if_the_round_is_recorded_first(make, tmp_path):
    faulting = make(RecordingFleet(), "kill:1")
    await faulting.before(1)
    faulting.recorded(1, rows(set()))
    await faulting.after(1)
    faulting.close()
    assert len(read(tmp_path)) == 10


async def test_faults_of_an_unfinished_round_are_written(make, tmp_path):
    faulting = make(RecordingFleet(), "pause:0.5")
    await faulting.before(1)
    faulting.close()
    written = read(tmp_path)
    assert len(written) == 5
    assert {row["participants"] + row["accepted"] for row in written} == {""}


async def test_errors_of_the_engine_are_noted_and_faults_ended_later(make, tmp_path, notes):
    class Overloaded(RecordingFleet):
        failures = 2

        async def strike(self, container, fault):
            if not self.struck:
                await super().strike(container, fault)
                raise FleetFailed("unable to freeze")
            return await super().strike(container, fault)

        async def relieve(self, container, fault):
            if self.failures:
                self.failures -= 1
                raise FleetFailed("timed out")
            await super().relieve(container, fault)

    fleet = Overloaded()
    faulting = make(fleet, "pause:0.4")
    await faulting.before(1)
    await faulting.after(1)
    assert len(fleet.struck) == 2
    assert sum("unable to freeze" in note for note in notes) == 1
    assert sum("timed out" in note for note in notes) == 2
    fleet.struck.clear()  # else the next round could draw one that still has a fault
    await faulting.before(2)
    await faulting.after(2)
    faulting.recorded(1, rows(set()))
    faulting.close()
    assert fleet.struck == {}
    ended = [line for line in fleet.log if line.startswith("end")]
    assert len(ended) == 2 + len({*ended[2:]}), "both of the first round are ended with the second"
    assert len([row for row in read(tmp_path) if row["round"] == "1"]) == 3
