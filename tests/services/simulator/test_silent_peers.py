"""Tests of access to the simulator: certificates, roles, timeouts, limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from fedsiege.services.errors import NotFound
from fedsiege.services.identity import callers
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import Role
from fedsiege.services.identity.tls import Tls
from fedsiege.services.rpc import calls, server, settings
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.guard import Limits
from fedsiege.services.rpc.server import serving
from fedsiege.services.simulator.__main__ import main, simulating
from fedsiege.services.simulator.service import CONTROL, PARTICIPANT
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from tests.services.conftest import refusal

Code = grpc.StatusCode
LONG = 15
NOBODY = "127.0.0.1:9"  # nothing here needs an aggregator


@pytest.fixture
def short(monkeypatch) -> None:
    """Set timeouts that are short enough for a test."""
    monkeypatch.setattr(calls, "FIRST_MESSAGE_TIMEOUT", 0.2)
    monkeypatch.setattr(calls, "CHECK_INTERVAL", 0.05)


@pytest.fixture
def authority(tmp_path) -> Authority:
    made = Authority.create(tmp_path / "certs")
    made.issue("simulator", Role.CONTROL, hosts=("localhost", "127.0.0.1"))
    made.issue("aggregator", participants=0, hosts=("localhost", "127.0.0.1"))
    made.issue("ann", participants=3)
    made.issue("ben", participants=3)
    return made


class Doors:
    """A simulator, and channels to it."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._address = ""

    async def open(self, tls: Tls | None = None, aggregator: str = NOBODY, **limits: int) -> None:
        running = simulating(
            "127.0.0.1:0",
            aggregator,
            self._folder,
            self._folder / "runs",
            tls=tls,
            limits=Limits(**limits),
        )
        _, port = await self._stack.enter_async_context(running)
        self._address = f"127.0.0.1:{port}"

    async def stub(self, tls: Tls | None = None) -> "rpc.SimulatorServiceAsyncStub":
        channel = await self._stack.enter_async_context(connect(self._address, tls))
        return rpc.SimulatorServiceStub(channel)


@pytest_asyncio.fixture
async def doors(monkeypatch, tmp_path) -> AsyncIterator[Doors]:
    monkeypatch.setattr(server, "GRACE", 0.0)
    async with AsyncExitStack() as stack:
        yield Doors(stack, tmp_path)


def tls_of(authority: Authority, name: str) -> Tls:
    return Tls(authority.folder / name, interval=0)


def attach(stub: "rpc.SimulatorServiceAsyncStub", name: str, capacity: int = 1):
    async def speech():
        hello = pb.Hello(worker=name, kind=pb.WORKER_KIND_CLIENT, capacity=capacity)
        yield pb.AttachRequest(hello=hello)
        await asyncio.Event().wait()

    return stub.Attach(speech(), timeout=LONG)


async def attached(stub: "rpc.SimulatorServiceAsyncStub") -> list[str]:
    """The names of the workers attached now, in order."""
    listed = await stub.ListWorkers(pb.ListWorkersRequest(), timeout=LONG)
    return sorted(one.worker for one in listed.workers)


async def until_attached(stub: "rpc.SimulatorServiceAsyncStub", *names: str) -> None:
    async with asyncio.timeout(LONG):
        while await attached(stub) != list(names):  # noqa: ASYNC110 - it is said when asked
            await asyncio.sleep(0.01)


# --- silence


async def test_a_silent_worker_is_refused(doors, short):
    await doors.open()
    stub = await doors.stub()
    worker = attach(stub, "ann")
    await until_attached(stub, "ann")

    async def silence():
        await asyncio.Event().wait()
        yield pb.AttachRequest()

    silent = [stub.Attach(silence(), timeout=LONG) for _ in range(10)]
    for line in silent:
        found = await refusal(line.read())
        assert (found.code, found.reason) == (Code.DEADLINE_EXCEEDED, "STREAM_IDLE")
    assert not worker.done(), "who has said hello may wait for work in silence"
    assert await attached(stub) == ["ann"]


async def test_a_host_that_attaches_too_often_is_refused(doors):
    await doors.open(streams=4)
    stub = await doors.stub()
    lines = [attach(stub, f"w{number}") for number in range(7)]
    reading = [asyncio.create_task(refusal(line.read())) for line in lines]
    async with asyncio.timeout(LONG):
        for _, told in zip(range(3), asyncio.as_completed(reading), strict=False):
            found = await told
            assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "PEER_STREAMS")
    assert sum(line.done() for line in lines) == 3
    for task in reading:
        task.cancel()


# --- names and roles


async def ask_all(stub: "rpc.SimulatorServiceAsyncStub") -> dict[str, str]:
    """Call every method of the control plane; returns the reason each was refused for."""
    found = {}
    service = pb.DESCRIPTOR.services_by_name["SimulatorService"]
    for method in {one.name for one in service.methods} - PARTICIPANT:
        request = getattr(pb, f"{method}Request")()
        call = getattr(stub, method)(request, timeout=LONG)
        found[method] = (await refusal(call.read() if method.startswith("Watch") else call)).reason
    return found


async def test_participants_may_not_call_the_control_plane(doors, authority):
    await doors.open(tls_of(authority, "simulator"))
    found = await ask_all(await doors.stub(tls_of(authority, "ann")))
    assert found == dict.fromkeys(CONTROL, "CONTROL_ONLY")


async def test_the_control_plane_may_not_attach(doors, authority):
    await doors.open(tls_of(authority, "simulator"))
    stub = await doors.stub(tls_of(authority, "simulator"))
    assert await attached(stub) == []
    found = await refusal(attach(stub, "simulator").read())
    assert (found.code, found.reason) == (Code.PERMISSION_DENIED, "PARTICIPANT_ONLY")


@pytest.mark.parametrize(
    ("name", "capacity", "reason", "words"),
    [
        ("ben", 1, "NOT_YOUR_NAME", "must have the name of its certificate, 'ann'"),
        ("", 1, "NOT_YOUR_NAME", "must have the name of its certificate, 'ann'"),
        ("ann", 4, "CAPACITY_EXCEEDED", "capacity 4 exceeds the 3 participants of the certificate"),
    ],
)
async def test_a_workers_name_and_capacity_match_its_certificate(
    doors, authority, name, capacity, reason, words
):
    await doors.open(tls_of(authority, "simulator"))
    control = await doors.stub(tls_of(authority, "simulator"))
    ben = attach(await doors.stub(tls_of(authority, "ben")), "ben", 3)
    await until_attached(control, "ben")
    ann = await doors.stub(tls_of(authority, "ann"))
    found = await refusal(attach(ann, name, capacity).read())
    assert (found.code, found.reason) == (Code.PERMISSION_DENIED, reason)
    assert words in found.message
    assert await attached(control) == ["ben"], "and has not taken anybody's place"
    assert not ben.done()
    own = attach(ann, "ann", 3)
    await until_attached(control, "ann", "ben")
    own.cancel()


async def test_a_revoked_worker_is_disconnected(doors, authority, short):
    await doors.open(tls_of(authority, "simulator"))
    control = await doors.stub(tls_of(authority, "simulator"))
    ann = attach(await doors.stub(tls_of(authority, "ann")), "ann")
    ben = attach(await doors.stub(tls_of(authority, "ben")), "ben")
    await until_attached(control, "ann", "ben")
    authority.revoke("ann")
    found = await refusal(ann.read())
    assert (found.code, found.reason) == (Code.UNAUTHENTICATED, "CERTIFICATE_REVOKED")
    await until_attached(control, "ben")
    assert not ben.done()


class Aggregator(data_rpc.AggregatorServiceServicer):
    """Refuses every federation, and records its callers."""

    def __init__(self) -> None:
        self.serials: list[int] = []

    async def CreateFederation(self, request, context):
        proof = callers.current().proof
        assert proof is not None
        self.serials.append(proof.serial)
        raise NotFound("UNKNOWN_FEDERATION", "no room")


async def test_a_renewed_certificate_is_used_without_a_restart(doors, authority):
    aggregator = Aggregator()
    async with serving(
        "127.0.0.1:0",
        lambda one: data_rpc.add_AggregatorServiceServicer_to_server(aggregator, one),
        [],
        tls=tls_of(authority, "aggregator"),
    ) as port:
        tls = tls_of(authority, "simulator")
        await doors.open(tls, f"127.0.0.1:{port}")
        control = await doors.stub(tls_of(authority, "simulator"))
        worker = attach(await doors.stub(tls_of(authority, "ann")), "ann")
        await until_attached(control, "ann")

        async def failed() -> None:
            spec = settings.of({"clients": 1, "attack": 0, "dataset": "digits", "rounds": 1})
            started = await control.StartExperiment(pb.StartExperimentRequest(spec=spec))
            request = pb.WatchExperimentRequest(experiment_id=started.experiment.experiment_id)
            async for _ in control.WatchExperiment(request, timeout=LONG):
                pass

        await failed()
        renewed = authority.renew("simulator")
        async with asyncio.timeout(LONG):
            while aggregator.serials[-1] != renewed.serial:
                await failed()
        assert len(set(aggregator.serials)) == 2
        assert not worker.done()


def test_invalid_limits_are_refused_at_start(capsys):
    with pytest.raises(SystemExit):
        main(["--limits=strems=1"])
    assert "it takes enrollments, streams" in capsys.readouterr().err
