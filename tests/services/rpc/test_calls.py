"""Tests of open calls: stalled calls, callers that become invalid, peers above their limits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import grpc
import pytest
import pytest_asyncio

from fedsiege.services.errors import Unauthenticated
from fedsiege.services.identity.callers import Caller, Callers
from fedsiege.services.rpc import calls, server
from fedsiege.services.rpc.calls import OpenCalls
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.guard import Guard, Limits
from fedsiege.services.rpc.interceptor import ErrorInterceptor
from fedsiege.services.rpc.server import serving
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from tests.services.conftest import refusal
from tests.services.rpc.raw_line import DATA, EMPTY_MESSAGE, LONG, SERVICE, RawLine, frame, headers

Code = grpc.StatusCode


class Aggregator(rpc.AggregatorServiceServicer):
    """A servicer that answers, waits, or streams large responses."""

    def __init__(self) -> None:
        self.ended = 0

    async def Enroll(self, request, context):
        return pb.EnrollResponse()

    async def SubmitUpdates(self, request_iterator, context):
        async for _ in request_iterator:
            pass
        yield pb.SubmitUpdatesResponse()

    async def WatchRounds(self, request, context):
        try:
            yield pb.WatchRoundsResponse()
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    async def GetModel(self, request, context):
        try:
            while True:
                yield bytes(100_000)
        finally:
            self.ended += 1


class Named(Callers):
    """Takes the caller's name from its metadata; a test decides which callers are invalid."""

    def __init__(self) -> None:
        self.invalid: set[str] = set()

    def identify(self, context) -> Caller:
        return Caller(dict(context.invocation_metadata()).get("name", "nobody"))

    def recheck(self, caller: Caller) -> None:
        if caller.name in self.invalid:
            raise Unauthenticated("CERTIFICATE_REVOKED", f"{caller.name} is revoked")


class Served:
    """A server, and channels to it by the name of the caller."""

    def __init__(self, guard: Guard, stack: AsyncExitStack) -> None:
        self.guard = guard
        self.callers = Named()
        self.aggregator = Aggregator()
        self.port = 0
        self._stack = stack

    async def start(self) -> None:
        interceptor = ErrorInterceptor(self.guard, self.callers)
        self.server = grpc.aio.server(interceptors=[interceptor])
        rpc.add_AggregatorServiceServicer_to_server(self.aggregator, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self._stack.push_async_callback(self.server.stop, 0)

    async def stub(self) -> "rpc.AggregatorServiceAsyncStub":
        channel = await self._stack.enter_async_context(connect(f"127.0.0.1:{self.port}"))
        return rpc.AggregatorServiceStub(channel)

    async def all_ended(self) -> None:
        await until(lambda: self.guard.streams == 0)


@pytest.fixture
def short(monkeypatch) -> None:
    """Set timeouts that are short enough for a test."""
    monkeypatch.setattr(calls, "FIRST_MESSAGE_TIMEOUT", 0.2)
    monkeypatch.setattr(calls, "WRITE_TIMEOUT", 0.2)
    monkeypatch.setattr(calls, "CHECK_INTERVAL", 0.05)


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Callable]:
    async with AsyncExitStack() as stack:

        async def start(**limits: int) -> Served:
            served = Served(Guard(Limits(**limits)), stack)
            await served.start()
            return served

        yield start


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def named(name: str) -> dict:
    return {"metadata": (("name", name),), "timeout": LONG}


async def ended(call) -> None:
    """Read all responses of a call."""
    async for _ in call:
        pass


async def honest(stub: "rpc.AggregatorServiceAsyncStub", name: str = "honest") -> None:
    await stub.Enroll(pb.EnrollRequest(), **named(name))
    submitted = stub.SubmitUpdates(iter([pb.SubmitUpdatesRequest()]), **named(name))
    assert await submitted.read() == pb.SubmitUpdatesResponse()
    watch = stub.WatchRounds(pb.WatchRoundsRequest(), **named(name))
    assert await watch.read() == pb.WatchRoundsResponse()
    watch.cancel()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("method", ["Enroll", "GetModel", "SubmitUpdates", "WatchRounds"])
async def test_a_call_without_a_message_is_ended(serve, method):
    served = await serve()
    stub = await served.stub()
    await honest(stub)

    async def silence():
        await asyncio.Event().wait()
        yield b""

    async with connect(f"127.0.0.1:{served.port}") as channel:
        call = channel.stream_stream(SERVICE + method)(silence(), timeout=LONG)
        found = await refusal(ended(call))
    assert (found.code, found.reason) == (Code.DEADLINE_EXCEEDED, "STREAM_IDLE")
    assert "no message for 0.2 s" in found.message
    await honest(stub)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\0\7abc"], ids=["none", "head", "half"])
async def test_a_call_with_half_a_message_is_ended(serve, sent):
    served = await serve()
    line = await RawLine.open(served.port)
    line.send(headers(1, "Enroll") + frame(DATA, 0, 1, sent))
    assert b"no message for 0.2 s" in await line.trailers(1)
    line.close()
    await served.all_ended()


@pytest.mark.usefixtures("short")
async def test_a_call_may_be_idle_after_its_first_message(serve):
    served = await serve()
    stub = await served.stub()
    watch = stub.WatchRounds(pb.WatchRoundsRequest(), **named("honest"))
    await watch.read()
    for _ in range(2):  # others, who opened their calls later, are cut off meanwhile
        line = await RawLine.open(served.port)
        line.send(headers(1, "Enroll"))
        await line.trailers(1)
        line.close()
    assert not watch.done()
    watch.cancel()
    await served.all_ended()


async def test_many_silent_connections_do_not_delay_other_callers(monkeypatch, short):
    silent_for = ("grpc.server_handshake_timeout_ms", 300)
    options = [one for one in server.SERVER_OPTIONS if one[0] != silent_for[0]]
    monkeypatch.setattr(server, "SERVER_OPTIONS", [*options, silent_for])
    monkeypatch.setattr(server, "GRACE", 0.0)
    aggregator, guard = Aggregator(), Guard()

    def register(one: grpc.aio.Server) -> None:
        rpc.add_AggregatorServiceServicer_to_server(aggregator, one)

    async with serving("127.0.0.1:0", register, [], guard=guard) as port:
        mute = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        stalled = [await RawLine.open(port) for _ in range(30)]
        for line in stalled:
            for stream in (1, 3, 5):
                line.send(headers(stream, "SubmitUpdates"))
        async with connect(f"127.0.0.1:{port}") as channel:
            stub = rpc.AggregatorServiceStub(channel)
            for _ in range(5):
                await honest(stub)
            for line in stalled:
                await line.trailers(5)
            await asyncio.gather(*(said_to_the_end(reader) for reader, _ in mute))
            await honest(stub)
        await until(lambda: guard.streams == 0)
        for _, writer in mute:
            writer.close()
        for line in stalled:
            line.close()


async def said_to_the_end(reader: asyncio.StreamReader) -> bytes:
    """Return what a server sends to a silent connection before it closes it."""
    async with asyncio.timeout(LONG):
        return await reader.read()


@pytest.mark.usefixtures("short")
async def test_a_caller_that_does_not_read_responses_is_refused(serve):
    served = await serve()
    line = await RawLine.open(served.port, window=1_000)
    line.send(headers(1, "GetModel") + frame(DATA, 1, 1, EMPTY_MESSAGE))
    await until(lambda: served.aggregator.ended == 1)
    await honest(await served.stub())
    assert served.guard.streams >= 1, "what the core still holds for it is counted"
    line.close()
    await served.all_ended()


@pytest.mark.usefixtures("short")
async def test_only_the_calls_of_a_revoked_caller_end(serve):
    served = await serve()
    stub = await served.stub()
    good = stub.WatchRounds(pb.WatchRoundsRequest(), **named("good"))
    bad = [stub.WatchRounds(pb.WatchRoundsRequest(), **named("bad")) for _ in range(3)]
    for call in (good, *bad):
        await call.read()
    served.callers.invalid.add("bad")
    for call in bad:
        found = await refusal(call.read())
        assert (found.code, found.reason) == (Code.UNAUTHENTICATED, "CERTIFICATE_REVOKED")
        assert found.message == "bad is revoked"
    assert served.aggregator.ended == 3
    assert not good.done()
    good.cancel()
    await served.all_ended()


async def test_no_timer_runs_without_open_calls(monkeypatch):
    monkeypatch.setattr(calls, "CHECK_INTERVAL", 0.01)
    watch = OpenCalls(Guard(), Callers())
    assert not watch.watched
    one, other = watch.open(Caller("a")), watch.open(Caller("b"))
    watch.close(one)
    assert watch.watched
    watch.close(other)
    await until(lambda: not watch.watched)
    watch.close(watch.open(Caller("a")))
    assert watch.watched, "and again when something is"


async def test_a_peer_with_too_many_open_calls_gets_no_more_until_one_ends(serve):
    served = await serve(streams=3)
    stub = await served.stub()
    open_ones = [stub.WatchRounds(pb.WatchRoundsRequest(), **named("greedy")) for _ in range(3)]
    for call in open_ones:
        await call.read()
    found = await refusal(stub.Enroll(pb.EnrollRequest(), **named("greedy")))
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "PEER_STREAMS")
    await honest(stub)
    assert not any(call.done() for call in open_ones)
    open_ones.pop().cancel()
    await until(lambda: served.aggregator.ended >= 2)  # of the honest one too
    await until(lambda: served.guard.streams == 2)
    await stub.Enroll(pb.EnrollRequest(), **named("greedy"))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"messages": 50}, "PEER_MESSAGES"), ({"bytes": 100_000}, "PEER_BYTES")],
)
async def test_a_peer_that_sends_too_fast_is_refused_and_the_others_are_not(serve, limits, reason):
    served = await serve(**limits)
    stub = await served.stub()
    for _ in range(20):
        # grpc.aio, still writing while the refusal arrives, at times says INTERNAL of its own
        found = await refusal(flood(stub))
        if found.reason:
            break
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, reason)
    assert "wait " in found.message
    await honest(stub)
    await served.all_ended()


async def flood(stub: "rpc.AggregatorServiceAsyncStub") -> None:
    piece = pb.UpdatePiece(header=pb.UpdateHeader(credential=bytes(2_000)))
    message = pb.SubmitUpdatesRequest(pieces=[piece])
    call = stub.SubmitUpdates(**named("greedy"))
    reading = asyncio.create_task(ended(call))
    while not reading.done():
        await call.write(message)
        await asyncio.sleep(0.001)
    await reading


async def test_sent_bytes_count_against_the_limit(serve):
    served = await serve(bytes=100_000)
    stub = await served.stub()

    # what comes is no model, and nobody parses it: only how much it is counts
    found = await refusal(read_raw(served))
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "PEER_BYTES")
    await honest(stub)


async def read_raw(served: Served) -> None:
    async with connect(f"127.0.0.1:{served.port}") as channel:
        async for _ in channel.stream_stream(SERVICE + "GetModel")(iter([b""]), **named("greedy")):
            pass


async def test_the_health_service_has_limits_too(monkeypatch):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    monkeypatch.setattr(server, "GRACE", 0.0)
    guard = Guard(Limits(streams=2))
    add = rpc.add_AggregatorServiceServicer_to_server
    async with (
        serving("127.0.0.1:0", lambda one: add(Aggregator(), one), [], guard=guard) as port,
        connect(f"127.0.0.1:{port}") as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch
        request = health_pb2.HealthCheckRequest()
        open_ones = [watch(request, timeout=LONG) for _ in range(2)]
        for call in open_ones:
            assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert (await refusal(watch(request, timeout=LONG).read())).reason == "PEER_STREAMS"
        for call in open_ones:
            call.cancel()
