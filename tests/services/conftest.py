"""A real aggregator on loopback, and a participant that can be told to misbehave."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.protobuf import duration_pb2

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from fedsiege.v1 import simulator_pb2_grpc as simulator_rpc
from services.aggregator.service import AggregatorService
from services.errors import Refusal
from services.rpc import server
from services.rpc.channel import connect
from services.rpc.server import serving
from services.rpc.tensors import encode_update

Servicer = rpc.AggregatorServiceServicer | simulator_rpc.SimulatorServiceServicer
Serve = Callable[[Servicer], Awaitable[str]]
NET = 13_106


class Federation:
    """One federation at a real aggregator, seen from outside."""

    def __init__(self, channel: grpc.aio.Channel, described: pb.Federation) -> None:
        self.channel = channel
        self.stub = rpc.AggregatorServiceStub(channel)
        self.described = described
        self.id = described.federation_id
        self.size = described.parameters

    async def enroll(self, count: int) -> None:
        await self.stub.Enroll(
            pb.EnrollRequest(
                federation_id=self.id,
                enrollments=[
                    pb.Enrollment(identity=f"p{i}", credential=credential(i), participant_index=i)
                    for i in range(count)
                ],
            )
        )

    async def open(
        self,
        round_number: int = 1,
        indices: Sequence[int] = (),
        threshold: int = 0,
        deadline: float = 20.0,
    ) -> pb.OpenRoundResponse:
        span = duration_pb2.Duration()
        span.FromMicroseconds(int(deadline * 1e6))
        return await self.stub.OpenRound(
            pb.OpenRoundRequest(
                federation_id=self.id,
                round=round_number,
                participant_indices=indices,
                threshold=threshold,
                deadline=span,
            )
        )

    def header(self, index: int, round_number: int = 1, **fields: object) -> pb.UpdateHeader:
        values = {
            "federation_id": self.id,
            "round": round_number,
            "participant_index": index,
            "credential": credential(index),
            "num_samples": 4,
            "num_steps": 2,
            **fields,
        }
        return pb.UpdateHeader(**values)

    def messages(
        self, index: int, update: np.ndarray, round_number: int = 1, **fields: object
    ) -> list[pb.SubmitUpdateRequest]:
        """The messages of an honest update; a test bends them."""
        header = self.header(index, round_number, **fields)
        return list(encode_update(header, update, pb.SubmitUpdateRequest))

    async def submit(
        self, index: int, update: np.ndarray, round_number: int = 1, **fields: object
    ) -> pb.SubmitUpdateResponse:
        return await self.send(self.messages(index, update, round_number, **fields))

    async def send(self, messages: Iterable[pb.SubmitUpdateRequest]) -> pb.SubmitUpdateResponse:
        return await self.stub.SubmitUpdate(iter(messages), timeout=15)

    async def refusal(self, messages: Iterable[pb.SubmitUpdateRequest]) -> Refusal:
        """Send messages that must be refused; return how they were."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.send(messages)
        return Refusal.of(caught.value)

    async def closed(self, round_number: int) -> pb.AccuracyEntry:
        """Wait for the entry of a round."""
        request = pb.WatchRoundsRequest(federation_id=self.id, from_round=round_number)
        async for event in self.stub.WatchRounds(request, timeout=15):
            if event.HasField("closed") and event.closed.entry.round == round_number:
                return event.closed.entry
        raise AssertionError("the stream ended")

    async def model(self) -> np.ndarray:
        data = b""
        async for message in self.stub.GetModel(pb.GetModelRequest(federation_id=self.id)):
            data += message.chunk.data
        return np.frombuffer(data, np.float32)


async def refusal(call) -> Refusal:
    """Wait for a call that must be refused; return how it was."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refusal.of(caught.value)


def credential(index: int) -> bytes:
    return f"the secret of {index:06d}".encode()


@pytest_asyncio.fixture
async def aggregator(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a real aggregator that has no data sets but digits."""
    service = AggregatorService(Path(os.environ.get("FEDSIEGE_DATA", tmp_path)))
    async with serving(
        "127.0.0.1:0",
        lambda server: rpc.add_AggregatorServiceServicer_to_server(service, server),
        ["fedsiege.v1.AggregatorService"],
    ) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield channel
        await service.close()


@pytest_asyncio.fixture
async def create(aggregator: grpc.aio.Channel):
    """Create federations; fields of the specification as keywords."""

    async def make(**fields: object) -> Federation:
        spec = pb.FederationSpec(**{"model": "net", "dataset": "digits", **fields})
        response = await rpc.AggregatorServiceStub(aggregator).CreateFederation(
            pb.CreateFederationRequest(spec=spec)
        )
        return Federation(aggregator, response.federation)

    return make


@pytest_asyncio.fixture
async def federation(create) -> Federation:
    """A federation of five with its first round open."""
    made = await create()
    await made.enroll(5)
    await made.open()
    return made


@pytest_asyncio.fixture
async def serve(monkeypatch) -> AsyncIterator[Serve]:
    """Serve an aggregator or a simulator; returns its address. All end with the test, at once."""
    monkeypatch.setattr(server, "GRACE", 0.0)
    async with AsyncExitStack() as stack:

        async def start(servicer: Servicer, port: int = 0) -> str:
            add = (
                rpc.add_AggregatorServiceServicer_to_server
                if isinstance(servicer, rpc.AggregatorServiceServicer)
                else simulator_rpc.add_SimulatorServiceServicer_to_server
            )
            running = serving(f"127.0.0.1:{port}", lambda one: add(servicer, one), [])
            return f"127.0.0.1:{await stack.enter_async_context(running)}"

        yield start


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens, yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
