"""Tests of the client with simulators that are broken or hostile: an error, and no more."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from fedsiege.client import Client
from fedsiege.results import HistoryRow
from fedsiege.services.errors import Exhausted, Malformed, ServiceError
from fedsiege.services.rpc import settings
from fedsiege.services.rpc.history_rows import row_message
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from tests.fedsiege.client.served import Background

RUNNING, FINISHED = pb.EXPERIMENT_STATE_RUNNING, pb.EXPERIMENT_STATE_FINISHED
HOSTILE = "\x1b[2J\n" + "x" * 1_000_000


def event(round_number: int, entry: data_pb.AccuracyEntry | None = None, **changes: object):
    row = row_message(
        HistoryRow(round=round_number, accuracy=0.5, loss=1.0, updates=1, rejected=0, seconds=0.1)
    )
    for name, value in changes.items():
        row.update({name: value})
        if value is None:
            del row.fields[name]
    entry = entry or data_pb.AccuracyEntry()
    entry.round = round_number
    return pb.WatchExperimentResponse(entry=entry, row=row)


def described(state: int = RUNNING, **fields: object) -> pb.WatchExperimentResponse:
    return pb.WatchExperimentResponse(
        experiment=pb.Experiment(experiment_id="e", state=state, **fields)
    )


class Scripted(rpc.SimulatorServiceServicer):
    """Sends what the test has written."""

    def __init__(
        self,
        *events: pb.WatchExperimentResponse,
        make: Callable[[], AsyncIterator[pb.WatchExperimentResponse]] | None = None,
        **fields: object,
    ) -> None:
        self._events = events
        self._make = make
        self._described = pb.Experiment(**{"experiment_id": "e", "state": RUNNING, **fields})

    async def GetExperiment(self, request, context):
        return pb.GetExperimentResponse(experiment=self._described)

    async def WatchExperiment(self, request, context):
        if self._make is not None:
            async for one in self._make():
                yield one
        for one in self._events:
            yield one


def watched(servers: Background, *events: pb.WatchExperimentResponse) -> list[HistoryRow]:
    with Client(servers.simulator(Scripted(*events)), timeout=5) as client:
        return list(client.experiment("e").watch())


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([described(), event(1)], "sent round 1 instead of round 0"),
        ([event(0), event(0)], "sent round 0 instead of round 1"),
        ([event(0, accuracy=None)], "round 0 without the column 'accuracy'"),
        ([event(0, updates="many")], "round 0 with a wrong value: .*many"),
        ([event(0, updates=1e300)], "round 0 with a wrong value"),
        ([event(0, close_reason="whim")], "round 0 with a wrong value: 'whim'"),
        ([described(), event(0)], "the end of the stream, but the experiment is running"),
        ([described(99)], "an unknown state: 99"),
    ],
)
def test_what_cannot_be_read_is_said(servers, events, words):
    with pytest.raises(Malformed, match=words):
        watched(servers, *events)


def test_what_is_unknown_is_ignored(servers):
    unknown = pb.WatchExperimentResponse()
    unknown.MergeFromString(b"\xfa\x3f\x03abc")
    rows = watched(
        servers,
        unknown,
        event(0, of_a_later_version={"a": [1]}, problem=HOSTILE),
        described(FINISHED, problem=HOSTILE),
    )
    assert [row.round for row in rows] == [0]
    assert rows[0].problem.isprintable()
    assert len(rows[0].problem) < 3_000


def test_texts_are_made_printable(servers):
    service = Scripted(problem=HOSTILE, results=HOSTILE, notes=[HOSTILE])
    with Client(servers.simulator(service)) as client:
        found = client.experiment()
    for text in (found.problem, found.results, *found.notes, repr(found)):
        assert text.isprintable()
        assert len(text) < 3_000


def test_a_time_beyond_all_dates_is_refused(servers):
    service = Scripted(create_time={"seconds": 2**62})
    with (
        Client(servers.simulator(service)) as client,
        pytest.raises(Malformed, match="not a time"),
    ):
        client.experiment()


def test_a_specification_of_a_later_version_hinders_nothing_else(servers):
    service = Scripted(described(FINISHED), spec=settings.of({"warp": 9}))
    with Client(servers.simulator(service)) as client:
        found = client.experiment()
        assert list(found.watch()) == []
    service = Scripted(spec=settings.of({"warp": 9}))
    with Client(servers.simulator(service)) as client:
        found = client.experiment()
        with pytest.raises(Malformed, match=r"specification that cannot be read here: warp=9"):
            _ = found.spec


def test_a_message_that_is_too_large_is_refused(servers):
    service = Scripted(notes=["x" * (5 << 20)])
    with Client(servers.simulator(service)) as client, pytest.raises(Exhausted, match="larger"):
        client.experiment()


def test_an_error_inside_the_simulator_is_said(servers):
    with (
        Client(servers.simulator(Scripted())) as client,  # it has no method ListWorkers
        pytest.raises(ServiceError, match=r"^INTERNAL: .*ListWorkers failed"),
    ):
        client.workers()


def test_bytes_that_are_no_message_are_refused():
    class Garbage(grpc.GenericRpcHandler):
        def service(self, call):
            if call.method.endswith("WatchExperiment"):
                return grpc.unary_stream_rpc_method_handler(lambda *_: iter([b"\xff\xff"]))
            if call.method.endswith("GetExperiment"):
                answer = pb.GetExperimentResponse(experiment=described().experiment)
                return grpc.unary_unary_rpc_method_handler(lambda *_: answer.SerializeToString())
            return grpc.unary_unary_rpc_method_handler(lambda *_: b"\xff\xff")

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Garbage()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"127.0.0.1:{port}", timeout=5) as client:
        with pytest.raises(ServiceError, match="deserializing"):
            client.workers()
        with pytest.raises(ServiceError, match="deserializing"):
            list(client.experiment().watch())
    server.stop(None).wait()


def test_a_history_of_any_length_passes(servers):
    """Its 500 rounds, with a test by 100 classes each, take 10 MiB; a message may have 4 MiB."""
    entry = data_pb.AccuracyEntry(confusion=[500] * 10_000)

    async def long() -> AsyncIterator[pb.WatchExperimentResponse]:
        yield described(FINISHED, num_recorded=500)
        for number in range(500):
            yield event(number, entry)
        yield described(FINISHED, num_recorded=500)

    assert 500 * event(0, entry).ByteSize() > 8 << 20
    with Client(servers.simulator(Scripted(make=long, num_recorded=500))) as client:
        history = client.experiment().history()
    assert list(history["round"]) == list(range(500))
