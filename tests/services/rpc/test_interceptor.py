"""Tests of the interceptor: what callers see of every kind of error in every kind of method."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import ClassVar

import grpc
import pytest

from fedsiege.errors import InvalidValue
from fedsiege.services.errors import NotFound, Refusal
from fedsiege.services.rpc.channel import connect
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

Code = grpc.StatusCode
SECRET = "the database password is hunter2"


class Mishaps:
    """A servicer whose methods do what the test says, and record their requests."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.asked: list[object] = []
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.wait = False
        self.abort = False

    async def happen(self, request: object, context: grpc.aio.ServicerContext) -> None:
        self.asked.append(request)
        if self.wait:
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if self.abort:
            await context.abort(Code.ABORTED, "so the handler decided")
        if self.error is not None:
            raise self.error


class Aggregator(data_rpc.AggregatorServiceServicer):
    def __init__(self, mishaps: Mishaps) -> None:
        self.mishaps = mishaps

    async def Enroll(self, request, context):
        await self.mishaps.happen(request, context)
        return data_pb.EnrollResponse()

    async def WatchRounds(self, request, context):
        for number in (1, 2):
            event = data_pb.WatchRoundsResponse(aggregated=data_pb.RoundAggregated(round=number))
            yield event if number == 1 else event.SerializeToString()
        await self.mishaps.happen(request, context)


class Simulator(rpc.SimulatorServiceServicer):
    def __init__(self, mishaps: Mishaps) -> None:
        self.mishaps = mishaps

    async def Attach(self, request_iterator, context):
        async for request in request_iterator:
            await self.mishaps.happen(request, context)
            yield pb.AttachResponse()


class Caller:
    """Calls one method of each kind with raw bytes, and returns the responses as a list."""

    METHODS: ClassVar[dict[str, str]] = {
        "unary-unary": "/fedsiege.v1.AggregatorService/Enroll",
        "unary-stream": "/fedsiege.v1.AggregatorService/WatchRounds",
        "stream-stream": "/fedsiege.v1.SimulatorService/Attach",
    }

    def __init__(self, channels: dict[str, grpc.aio.Channel]) -> None:
        self.channels = channels

    def start(self, kind: str, request: bytes, method: str = ""):
        make = getattr(self.channels[self.METHODS[kind].split("/")[1]], kind.replace("-", "_"))
        sends = iter([request]) if kind.startswith("stream") else request
        return make(method or self.METHODS[kind])(sends, timeout=10)

    async def call(self, kind: str, request: bytes = b"", method: str = "") -> list[bytes]:
        call = self.start(kind, request, method)
        if kind.endswith("stream"):
            return [message async for message in call]
        return [await call]

    async def refusal(self, kind: str, request: bytes = b"", method: str = "") -> Refusal:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(kind, request, method)
        return Refusal.of(caught.value)


KINDS = sorted(Caller.METHODS)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def mishaps() -> Mishaps:
    return Mishaps()


@pytest.fixture
async def caller(serve, mishaps) -> AsyncIterator[Caller]:
    aggregator = await serve(Aggregator(mishaps))
    simulator = await serve(Simulator(mishaps))
    async with connect(aggregator) as data, connect(simulator) as control:
        yield Caller(
            {"fedsiege.v1.AggregatorService": data, "fedsiege.v1.SimulatorService": control}
        )


@every_kind
async def test_requests_and_responses_pass_unchanged(caller, mishaps, kind):
    answers = await caller.call(kind)
    assert len(mishaps.asked) == 1
    assert len(answers) == (2 if kind == "unary-stream" else 1)


async def test_bytes_pass_unserialised(caller):
    answers = await caller.call("unary-stream")
    rounds = [data_pb.WatchRoundsResponse.FromString(one).aggregated.round for one in answers]
    assert rounds == [1, 2]


@every_kind
@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (NotFound("UNKNOWN_ROUND", "no round 7"), Code.NOT_FOUND, "UNKNOWN_ROUND"),
        (InvalidValue("RULE", "kram", "krum"), Code.INVALID_ARGUMENT, "INVALID_VALUE"),
    ],
    ids=["service", "science"],
)
async def test_an_error_becomes_a_status_with_details(
    caller, mishaps, caplog, kind, error, code, reason
):
    mishaps.error = error
    refusal = await caller.refusal(kind)
    assert (refusal.code, refusal.reason, refusal.message) == (code, reason, str(error))
    assert not caplog.records, "a refusal is no incident"


@pytest.mark.parametrize("letter", ["x", "\N{SNOWMAN}", "\x00", "\N{PILE OF POO}", "\udcff"])
async def test_a_refusal_of_a_huge_value_is_small_enough_to_arrive(caller, mishaps, letter):
    huge = 1_000_000 * letter
    mishaps.error = InvalidValue(f"RULE{huge}", huge, f"krum{huge}")
    refusal = await caller.refusal("unary-unary")
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    assert refusal.message.startswith("RULE")
    assert refusal.metadata["allowed"].startswith("krum")


@every_kind
@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        TimeoutError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        StopAsyncIteration(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_unexpected_error_is_logged_and_not_sent(caller, mishaps, caplog, kind, error):
    mishaps.error = error
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.call(kind)
    assert caught.value.code() == Code.INTERNAL
    assert caught.value.details() == f"{Caller.METHODS[kind]} failed; see the server's log"
    shown = [caught.value.details(), *map(str, caught.value.trailing_metadata() or ())]
    assert not any("hunter2" in text for text in shown)
    assert SECRET in caplog.text
    mishaps.error = None
    assert await caller.call(kind), "the server lives on"


@every_kind
@pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x0a\x7fshort", b"\x0a\x01\xff"])
async def test_invalid_bytes_never_reach_the_handler(caller, mishaps, caplog, kind, garbage):
    refusal = await caller.refusal(kind, garbage)
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    assert mishaps.asked == []
    assert not caplog.records


@every_kind
async def test_an_abort_by_the_handler_is_kept(caller, mishaps, caplog, kind):
    mishaps.abort = True
    refusal = await caller.refusal(kind)
    assert (refusal.code, refusal.message) == (Code.ABORTED, "so the handler decided")
    assert not caplog.records


@every_kind
async def test_a_cancelled_call_is_not_logged_as_an_error(caller, mishaps, caplog, kind):
    mishaps.wait = True
    call = caller.start(kind, b"")
    reading = asyncio.ensure_future(caller_reads(call)) if kind.startswith("unary") else None
    await asyncio.wait_for(mishaps.waiting.wait(), 10)
    call.cancel()
    await asyncio.wait_for(mishaps.cancelled.wait(), 10)
    if reading is not None:
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], caplog.text
    mishaps.wait = False
    assert await caller.call(kind)


async def caller_reads(call) -> None:
    if hasattr(call, "__aiter__"):
        async for _ in call:
            pass
    else:
        await call


@every_kind
async def test_a_method_that_does_not_exist_is_unimplemented(caller, kind):
    for method in (Caller.METHODS[kind] + "Again", "/other.Service/Do"):
        assert (await caller.refusal(kind, method=method)).code == Code.UNIMPLEMENTED
