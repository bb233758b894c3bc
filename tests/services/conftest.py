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

from fedsiege.services.aggregator.service import AggregatorService
from fedsiege.services.errors import Refusal
from fedsiege.services.rpc import server
from fedsiege.services.rpc.channel import connect, data_plane
from fedsiege.services.rpc.pieces import write_updates
from fedsiege.services.rpc.server import serving
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from fedsiege.v1 import simulator_pb2_grpc as simulator_rpc

Servicer = rpc.AggregatorServiceServicer | simulator_rpc.SimulatorServiceServicer
Serve = Callable[[Servicer], Awaitable[str]]
NET = 13_106


class Federation:
    """One federation at a real aggregator, seen from outside."""

    def __init__(self, channel: grpc.aio.Channel, described: pb.Federation) -> None:
        self.channel = channel
        self.stub = rpc.AggregatorServiceStub(channel)
        self.data_plane = data_plane(channel)
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

    def pieces(
        self, index: int, update: np.ndarray, round_number: int = 1, **fields: object
    ) -> list[pb.UpdatePiece]:
        """The pieces of an honest update; a test bends them."""
        return pieces_of(self.header(index, round_number, **fields), update)

    async def submit(
        self, index: int, update: np.ndarray, round_number: int = 1, **fields: object
    ) -> None:
        """Send an honest update, which must be taken in."""
        (receipt,) = await self.receipts(self.pieces(index, update, round_number, **fields))
        assert receipt.code == 0, receipt

    async def receipts(self, pieces: Iterable[pb.UpdatePiece]) -> list[pb.UpdateReceipt]:
        """Send each piece in a message of its own; return all receipts."""
        messages = (pb.SubmitUpdatesRequest(pieces=[piece]) for piece in pieces)
        return await receipts_of(self.stub.SubmitUpdates(messages, timeout=15))

    async def refusal(self, pieces: Iterable[pb.UpdatePiece]) -> Refusal:
        """Send one update that must be refused; return how it was."""
        return await refusal_of(self.receipts(pieces))

    async def closed(self, round_number: int) -> pb.AccuracyEntry:
        """Wait for the entry of a round."""
        request = pb.WatchRoundsRequest(federation_id=self.id, from_round=round_number)
        async for event in self.stub.WatchRounds(request, timeout=15):
            if event.HasField("closed") and event.closed.entry.round == round_number:
                return event.closed.entry
        raise AssertionError("the stream ended")

    async def model(self) -> np.ndarray:
        data = b""
        request = pb.GetModelRequest(federation_id=self.id)
        async for message in self.stub.GetModel(iter([request])):
            data += message.chunk.data
        return np.frombuffer(data, np.float32)


async def refusal(call) -> Refusal:
    """Wait for a call that must be refused; return how it was."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refusal.of(caught.value)


async def receipts_of(call) -> list[pb.UpdateReceipt]:
    """All receipts of a call to SubmitUpdates."""
    return [receipt async for response in call for receipt in response.receipts]


async def refusal_of(receipts: Awaitable[list[pb.UpdateReceipt]]) -> Refusal:
    """Return how one update was refused: by its receipt, or with the whole call."""
    try:
        (receipt,) = await receipts
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error)
    refused = Refusal.in_receipt(receipt)
    assert refused is not None, "the update was taken in"
    return refused


def pieces_of(header: pb.UpdateHeader, update: np.ndarray) -> list[pb.UpdatePiece]:
    """Cut an update into pieces, as a sender does."""
    return [
        piece
        for message in write_updates([(header, update)])
        for piece in pb.SubmitUpdatesRequest.FromString(message).pieces
    ]


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
