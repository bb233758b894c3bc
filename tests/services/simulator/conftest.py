"""A simulator on loopback, and the results of a siege that is small enough to check by hand."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio

from fedsiege.settling import Settled
from fedsiege.spec import ExperimentSpec
from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.simulator.results import (
    Confusion,
    HistoryRow,
    Outcome,
    ParticipantRow,
    ResultsFolder,
    Standing,
    Verdict,
    detections,
)
from services.simulator.service import SimulatorService
from services.wire.channel import connect
from services.wire.server import serving
from tests.services.simulator.puppets import Simulator

WriteRun = Callable[..., Path]


def _write(
    path: Path, accuracies: Sequence[float] = (0.9, 0.8, 0.5, 0.6), **settings: object
) -> Path:
    """Write a run of five participants, 0 and 1 of them hostile; two classes, one of them rare.

    The rule gives 0 no weight from round 2 on, and 4, who is benign, in round 3; detector "norm"
    flags 0 in every round, and from round 3 on the audit keeps it out. Nobody ever flags 1.
    """
    asked = {"attack": 0.4, "clients": 5, "rounds": 3, "audit": "norm", "rule": "krum:f=1"}
    spec = ExperimentSpec.of({**asked, **settings})
    with ResultsFolder(path) as folder:
        folder.write_spec(Settled(spec))
        for number, accuracy in enumerate(accuracies):
            people = [_person(i, number, bool(spec.attack)) for i in range(5)] if number else []
            right = round(8 * accuracy)
            tested = Confusion(np.array([[right, 8 - right], [1, 0]]), np.array([8, 2]))
            row = HistoryRow(number, accuracy, 1 - accuracy, 5, 0, 0.1, number // 3, 0.1 * number)
            folder.add_round(row, people, tested, detections(people, spec.rule))
    return path


def _person(index: int, number: int, attacked: bool) -> ParticipantRow:
    caught = index == 0 and attacked
    outcome = Outcome.ACCEPTED
    if (caught and number == 2) or (index == 4 and number == 3):
        outcome = Outcome.EXCLUDED
    elif caught and number > 2:
        outcome = Outcome.QUARANTINED
    return ParticipantRow(
        index=index,
        identity=f"w/{index}",
        hostile=index < 2 and attacked,
        round=number,
        norm=1.0,
        outcome=outcome,
        flagged=caught,
        score=float(5 - index),
        standing=Standing.QUARANTINED if outcome is Outcome.QUARANTINED else Standing.GOOD,
        verdicts=(Verdict("norm", 2.0 if caught else 0.1, caught),),
    )


@pytest.fixture
def write_run() -> WriteRun:
    """Write the results of a run into a folder; see ``_write``."""
    return _write


@pytest_asyncio.fixture
async def simulator(aggregator: grpc.aio.Channel, tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator beside a real aggregator."""
    service = SimulatorService(aggregator, tmp_path, tmp_path / "runs")
    async with serving(
        "127.0.0.1:0",
        lambda server: rpc.add_SimulatorServiceServicer_to_server(service, server),
        [],
    ) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield Simulator(channel, aggregator, tmp_path / "runs")
        await service.close()
