"""The control plane over a real wire: puppets for workers, a real aggregator, real results."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.simulator import service as service_module
from services.simulator.service import SimulatorService
from services.wire.channel import connect
from services.wire.errors import Refusal
from services.wire.server import serving
from services.wire.tensors import encode_update

Code = grpc.StatusCode
PATIENCE = 15
CLIENT, ATTACKER = pb.WORKER_KIND_CLIENT, pb.WORKER_KIND_ATTACKER
SMALL = {"clients": 5, "attack": 0.4, "rounds": 2, "dataset": "digits", "deadline": 10.0}


class Puppet:
    """A worker's line in the hands of a test."""

    def __init__(self, stub: "rpc.SimulatorServiceAsyncStub", aggregator: grpc.aio.Channel) -> None:
        self._says: asyncio.Queue[pb.AttachRequest | None] = asyncio.Queue()
        self.call = stub.Attach(self._speech(), timeout=PATIENCE)
        self._aggregator = data_rpc.AggregatorServiceStub(aggregator)
        self._name = ""

    async def _speech(self) -> AsyncIterator[pb.AttachRequest]:
        while (message := await self._says.get()) is not None:
            yield message

    def say(self, **message: object) -> None:
        self._says.put_nowait(pb.AttachRequest(**message))

    def hello(self, name: str, capacity: int = 1, kind: int = CLIENT) -> "Puppet":
        self._name = name
        self.say(hello=pb.Hello(worker=name, kind=kind, capacity=capacity))
        return self

    def hang_up(self) -> None:
        self._says.put_nowait(None)

    async def hear(self, kind: str):
        message = await asyncio.wait_for(self.call.read(), PATIENCE)
        assert message is not grpc.aio.EOF, "the line ended"
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.call.read(), PATIENCE) is grpc.aio.EOF

    async def join(self) -> pb.Join:
        """Be told to join, enrol, say so."""
        join = await self.hear("join")
        response = await self._aggregator.Enroll(
            data_pb.EnrollRequest(
                federation_id=join.federation_id,
                enrollments=[
                    data_pb.Enrollment(
                        identity=f"{self._name}/{i}", credential=bytes(16), participant_index=i
                    )
                    for i in join.participant_indices
                ],
            )
        )
        self.say(
            joined=pb.Joined(
                experiment_id=join.experiment_id,
                memberships=response.memberships,
                method="as a puppet",
            )
        )
        return join

    async def play(self, join: pb.Join, rounds: int) -> None:
        """Take part with updates that change nothing."""
        for number in range(1, rounds + 1):
            order = await self.hear("take_part")
            assert order.round == number
            assert list(order.participant_indices) == list(join.participant_indices)
            await self.submit(join, order)

    async def play_on(self, join: pb.Join) -> None:
        """Take part until sent home."""
        while True:
            message = await asyncio.wait_for(self.call.read(), PATIENCE)
            if message.HasField("leave"):
                return
            await self.submit(join, message.take_part)

    async def submit(self, join: pb.Join, order: pb.TakePart) -> None:
        for index in order.participant_indices:
            header = data_pb.UpdateHeader(
                federation_id=join.federation_id,
                round=order.round,
                participant_index=index,
                credential=bytes(16),
            )
            update = np.zeros(13_106, np.float32)
            messages = list(encode_update(header, update, data_pb.SubmitUpdateRequest))
            await self._aggregator.SubmitUpdate(iter(messages))

    async def work(self, rounds: int) -> pb.Join:
        """Do a whole experiment."""
        join = await self.join()
        await self.play(join, rounds)
        leave = await self.hear("leave")
        assert leave.experiment_id == join.experiment_id
        return join


class Simulator:
    """The simulator as its callers see it."""

    def __init__(self, channel: grpc.aio.Channel, aggregator: grpc.aio.Channel, runs: Path) -> None:
        self.channel = channel
        self.stub: rpc.SimulatorServiceAsyncStub = rpc.SimulatorServiceStub(channel)
        self._aggregator = aggregator
        self.runs = runs

    def puppet(self) -> Puppet:
        return Puppet(self.stub, self._aggregator)

    async def attached(self, name: str, capacity: int = 1, kind: int = CLIENT) -> Puppet:
        puppet = self.puppet().hello(name, capacity, kind)
        await until(lambda: self.is_attached(name))
        return puppet

    async def workers(self) -> list[pb.Worker]:
        return list((await self.stub.ListWorkers(pb.ListWorkersRequest())).workers)

    async def is_attached(self, name: str) -> bool:
        return name in [one.worker for one in await self.workers()]

    async def start(self, **fields: object) -> pb.Experiment:
        spec = pb.ExperimentSpec(**{**SMALL, **fields})
        response = await self.stub.StartExperiment(pb.StartExperimentRequest(spec=spec))
        return response.experiment

    async def get(self, experiment_id: str) -> pb.Experiment:
        request = pb.GetExperimentRequest(experiment_id=experiment_id)
        return (await self.stub.GetExperiment(request)).experiment

    async def cancel(self, experiment_id: str) -> pb.Experiment:
        request = pb.CancelExperimentRequest(experiment_id=experiment_id)
        return (await self.stub.CancelExperiment(request)).experiment

    async def ended(self, experiment_id: str) -> list[pb.WatchExperimentResponse]:
        """Everything that a watcher is told until the experiment has ended."""
        request = pb.WatchExperimentRequest(experiment_id=experiment_id)
        return [event async for event in self.stub.WatchExperiment(request, timeout=PATIENCE)]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what the other side will say."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - it is said when asked
            await asyncio.sleep(0.005)


async def refusal(call) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refusal.of(caught.value)


@pytest.fixture
async def simulator(aggregator: grpc.aio.Channel, tmp_path: Path) -> AsyncIterator[Simulator]:
    service = SimulatorService(aggregator, tmp_path, tmp_path / "runs")
    async with serving(
        "127.0.0.1:0",
        lambda server: rpc.add_SimulatorServiceServicer_to_server(service, server),
        [],
    ) as port:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield Simulator(channel, aggregator, tmp_path / "runs")
        await service.close()


# --- workers


async def test_a_worker_is_listed_while_its_line_stands(simulator):
    assert await simulator.workers() == []
    one = await simulator.attached("b", 7)
    await simulator.attached("a", 2, ATTACKER)
    first, second = await simulator.workers()
    assert (first.worker, first.kind, first.capacity, first.experiment_id) == ("b", CLIENT, 7, "")
    assert (second.worker, second.kind, second.capacity) == ("a", ATTACKER, 2)
    assert first.attach_time.ToMicroseconds() <= second.attach_time.ToMicroseconds()
    one.hang_up()
    assert await one.ended()
    await until(lambda: gone(simulator, "b"))
    assert [worker.worker for worker in await simulator.workers()] == ["a"]


async def gone(simulator: Simulator, name: str) -> bool:
    return not await simulator.is_attached(name)


async def test_a_line_that_breaks_is_noticed(simulator):
    one = await simulator.attached("a")
    one.call.cancel()
    await until(lambda: gone(simulator, "a"))


async def test_a_second_line_of_the_same_name_ends_the_first(simulator):
    first = await simulator.attached("a", 1)
    second = simulator.puppet().hello("a", 2)
    assert await first.ended()
    (listed,) = await simulator.workers()
    assert listed.capacity == 2
    second.hang_up()
    await until(lambda: gone(simulator, "a"))


@pytest.mark.parametrize(
    ("first", "reason", "words"),
    [
        ({"joined": pb.Joined()}, "MALFORMED_STREAM", "hello"),
        ({}, "MALFORMED_STREAM", "hello"),
        (None, "MALFORMED_STREAM", "hello"),
        ({"hello": pb.Hello()}, "INVALID_VALUE", "printable"),
        ({"hello": pb.Hello(worker="a", capacity=1)}, "INVALID_VALUE", "kind"),
        ({"hello": pb.Hello(worker="a", kind=CLIENT)}, "INVALID_VALUE", "capacity 0"),
    ],
)
async def test_who_does_not_introduce_itself_is_refused(simulator, first, reason, words):
    puppet = simulator.puppet()
    if first is not None:
        puppet.say(**first)
    puppet.hang_up()
    found = await refusal(puppet.ended())
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, reason)
    assert words in found.message
    assert await simulator.workers() == []


async def test_garbage_on_a_line_ends_it_in_words(simulator):
    heard = asyncio.Event()

    async def speech():
        hello = pb.AttachRequest(hello=pb.Hello(worker="a", kind=CLIENT, capacity=1))
        yield hello.SerializeToString()
        await heard.wait()
        yield b"\xff\xff\xff"
        await asyncio.Event().wait()

    call = simulator.channel.stream_stream("/fedsiege.v1.SimulatorService/Attach")(speech())
    reading = asyncio.ensure_future(call.read())
    await until(lambda: simulator.is_attached("a"))
    heard.set()
    found = await refusal(reading)
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    await until(lambda: gone(simulator, "a"))


async def test_what_is_said_of_nothing_known_changes_nothing(simulator):
    puppet = await simulator.attached("a")
    puppet.say()
    puppet.hello("another name")
    puppet.say(joined=pb.Joined(experiment_id="nothing"))
    puppet.say(failure=pb.WorkerFailure(experiment_id="nothing", problem="me"))
    experiment = await simulator.start()
    assert experiment.state == pb.EXPERIMENT_STATE_WAITING
    assert [worker.worker for worker in await simulator.workers()] == ["a"]


# --- starting


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"attack": 1.5}, "ATTACK", "0 to 1"),
        ({"clients": 1_000_001}, "CLIENTS", "1000000"),
        ({"rule": "kram"}, "RULE", "krum"),
        ({"rule": "krum:f=2"}, "RULE", "7 updates, there are 5"),
        ({"attack_name": "mpfa"}, "ATTACK_NAME", "mpaf"),
        ({"model": "nett"}, "MODEL", "net"),
        ({"dataset": "digitz"}, "DATASET", "digits"),
        ({"partition": "dirichlet:x"}, "PARTITION", "dirichlet"),
        ({"threshold": 6}, "THRESHOLD", "5"),
    ],
)
async def test_an_impossible_experiment_is_refused_before_anything_starts(
    simulator, fields, field, words
):
    found = await refusal(simulator.start(**fields))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    assert found.metadata["field"] == field
    assert words in found.message
    listed = await simulator.stub.ListExperiments(pb.ListExperimentsRequest())
    assert not listed.experiments
    assert not simulator.runs.exists()


async def test_an_experiment_says_what_it_waits_for_and_can_be_cancelled(simulator):
    started = await simulator.start(name="mine", seed=2**64 - 1)
    assert started.state == pb.EXPERIMENT_STATE_WAITING
    assert started.hostile_indices == [1, 3]
    assert started.spec.name == "mine"
    assert started.spec.seed == 2**64 - 1
    assert started.spec.threshold == 5, "settled"
    await until(lambda: has_problem(simulator, started.experiment_id, "3 places on client"))
    await simulator.attached("a", 3)
    await until(
        lambda: has_problem(
            simulator,
            started.experiment_id,
            "waiting for 2 places on attacker workers (0 are there)",
        )
    )
    cancelled = await simulator.cancel(started.experiment_id)
    assert (cancelled.state, cancelled.problem) == (pb.EXPERIMENT_STATE_CANCELLED, "cancelled")
    assert cancelled.end_time.ToMicroseconds() >= cancelled.create_time.ToMicroseconds()
    assert await simulator.cancel(started.experiment_id) == cancelled
    assert not simulator.runs.exists(), "nothing began, nothing is written"


async def has_problem(simulator: Simulator, experiment_id: str, words: str) -> bool:
    return words in (await simulator.get(experiment_id)).problem


async def test_experiments_take_turns(simulator):
    first = await simulator.start()
    second = await simulator.start()
    await until(lambda: has_problem(simulator, first.experiment_id, "places"))
    await until(lambda: has_problem(simulator, second.experiment_id, "another experiment"))
    await simulator.cancel(first.experiment_id)
    await until(lambda: has_problem(simulator, second.experiment_id, "places"))


async def test_too_many_at_a_time_are_refused(simulator, monkeypatch):
    monkeypatch.setattr(service_module, "MOST_UNFINISHED", 2)
    kept = [await simulator.start() for _ in range(2)]
    found = await refusal(simulator.start())
    assert (found.code, found.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_EXPERIMENTS")
    await simulator.cancel(kept[0].experiment_id)
    await simulator.start()


# --- finding


@pytest.mark.parametrize("method", ["GetExperiment", "WatchExperiment", "CancelExperiment"])
async def test_an_unknown_experiment_is_named(simulator, method):
    request = getattr(pb, f"{method}Request")(experiment_id="n" * 9_000)
    call = getattr(simulator.stub, method)(request)
    found = await refusal(call.read() if hasattr(call, "read") else call)
    assert (found.code, found.reason) == (Code.NOT_FOUND, "UNKNOWN_EXPERIMENT")
    assert "nnn" in found.message
    assert len(found.message) < 200


async def test_experiments_are_listed_newest_first_and_by_pages(simulator):
    ids = [(await simulator.start(name=f"e{i}")).experiment_id for i in range(5)]
    request, pages = pb.ListExperimentsRequest(page_size=2), []
    while not pages or request.page_token:
        response = await simulator.stub.ListExperiments(request)
        pages.append([one.experiment_id for one in response.experiments])
        request.page_token = response.next_page_token
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    response = await simulator.stub.ListExperiments(pb.ListExperimentsRequest(page_size=5))
    assert not response.next_page_token, "the last page says that it is the last"


@pytest.mark.parametrize("fields", [{"page_size": 1_001}, {"page_token": "x" * 9_000}])
async def test_an_impossible_page_is_refused(simulator, fields):
    found = await refusal(simulator.stub.ListExperiments(pb.ListExperimentsRequest(**fields)))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")


async def test_old_experiments_are_forgotten(simulator, monkeypatch):
    monkeypatch.setattr(service_module, "MOST_REMEMBERED", 2)
    ids = []
    for _ in range(4):
        ids.append((await simulator.start()).experiment_id)
        await simulator.cancel(ids[-1])
    await simulator.start()
    found = await refusal(simulator.get(ids[1]))
    assert found.reason == "UNKNOWN_EXPERIMENT"
    assert (await simulator.get(ids[2])).state == pb.EXPERIMENT_STATE_CANCELLED


# --- running


async def test_an_experiment_from_start_to_results(simulator):
    started = await simulator.start(name="whole")
    watching = [asyncio.create_task(simulator.ended(started.experiment_id)) for _ in range(2)]
    puppets = [
        simulator.puppet().hello("one", 2),
        simulator.puppet().hello("two", 9),
        simulator.puppet().hello("evil", 2, ATTACKER),
    ]
    joins = await asyncio.gather(*(puppet.work(2) for puppet in puppets))
    shares = [list(join.participant_indices) for join in joins]
    assert sorted(shares[0] + shares[1]) == [0, 2, 4]
    assert shares[2] == [1, 3]
    assert joins[2].attack.attack.startswith("mpaf:scale=1.0")

    for events in await asyncio.gather(*watching):
        kinds = [event.WhichOneof("event") for event in events]
        assert kinds[0] == kinds[-1] == "experiment"
        told = [event.entry.round for event in events if event.HasField("entry")]
        before = [entry.round for entry in events[0].experiment.historical_accuracy]
        assert before + told == [0, 1, 2], "each entry once, in order"
        for event in events[1:-1]:
            assert not event.experiment.historical_accuracy
        last = events[-1].experiment
        assert last.state == pb.EXPERIMENT_STATE_FINISHED
        assert [entry.round for entry in last.historical_accuracy] == [0, 1, 2]
    assert last == await simulator.get(started.experiment_id)
    assert "worker evil: as a puppet" in last.notes
    folder = Path(last.results)
    assert folder.parent == simulator.runs
    for name in ("spec.yaml", "history.csv", "accuracy.png", "model.safetensors"):
        assert (folder / name).exists()
    participants = (folder / "participants.csv").read_text().splitlines()
    assert len(participants) == 1 + 2 * 5
    assert all(worker.experiment_id == "" for worker in await simulator.workers())
    running = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    assert "RemoteFederation.follow" not in running
    after = await simulator.ended(started.experiment_id)
    assert [event.experiment for event in after] == [last, last], "as it stands, and as it ended"


async def test_a_worker_that_cannot_join_ends_it_in_its_words(simulator):
    started = await simulator.start(attack=0.0)
    puppet = await simulator.attached("a", 5)
    join = await puppet.hear("join")
    (worker,) = await simulator.workers()
    assert worker.experiment_id == started.experiment_id
    puppet.say(
        failure=pb.WorkerFailure(experiment_id=join.experiment_id, problem="no data set here")
    )
    await puppet.hear("leave")
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    assert (last.state, last.problem) == (
        pb.EXPERIMENT_STATE_FAILED,
        "worker a: no data set here",
    )
    assert (Path(last.results) / "history.csv").read_text().count("\n") == 2, "entry 0 is kept"


async def test_cancelling_keeps_what_there_is_and_sends_everyone_home(simulator):
    started = await simulator.start(attack=0.0, rounds=100)
    puppet = await simulator.attached("a", 5)
    join = await puppet.join()
    await puppet.play(join, 2)
    await puppet.hear("take_part")
    cancelled = await simulator.cancel(started.experiment_id)
    assert cancelled.state == pb.EXPERIMENT_STATE_CANCELLED
    assert [entry.round for entry in cancelled.historical_accuracy] == [0, 1, 2]
    await puppet.hear("leave")
    folder = Path(cancelled.results)
    assert (folder / "model.safetensors").exists()
    assert (folder / "history.csv").read_text().count("\n") == 4


async def test_a_worker_that_is_lost_misses_rounds_and_takes_part_when_it_is_back(simulator):
    started = await simulator.start(attack=0.0, rounds=3)
    steady = await simulator.attached("steady", 3)
    flaky = await simulator.attached("flaky", 3)
    steady_join, flaky_join = await asyncio.gather(steady.join(), flaky.join())
    order = await flaky.hear("take_part")
    flaky.hang_up()
    await until(lambda: gone(simulator, "flaky"))
    await flaky.submit(flaky_join, order)  # the data plane does not care
    await steady.play(steady_join, 2)
    again = await simulator.attached("flaky", 3)
    assert await again.hear("join") == flaky_join
    await steady.play_on(steady_join)
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    assert last.state == pb.EXPERIMENT_STATE_FINISHED
    assert [entry.round for entry in last.historical_accuracy] == [0, 1, 2, 3]
    assert last.historical_accuracy[1].updates == 5
    for round_number in (2, 3):
        entry = last.historical_accuracy[round_number]
        assert entry.updates == len(steady_join.participant_indices)
        assert entry.close_reason == data_pb.CLOSE_REASON_THRESHOLD, "nobody was waited for"
    assert "worker flaky is gone; its participants miss rounds" in last.notes
    assert "worker flaky is back" in last.notes


async def test_an_aggregator_that_closes_the_federation_ends_the_experiment(simulator, aggregator):
    started = await simulator.start(attack=0.0)
    puppet = await simulator.attached("a", 5)
    join = await puppet.join()
    await puppet.hear("take_part")
    await data_rpc.AggregatorServiceStub(aggregator).CloseFederation(
        data_pb.CloseFederationRequest(federation_id=join.federation_id)
    )
    last = (await simulator.ended(started.experiment_id))[-1].experiment
    assert last.state == pb.EXPERIMENT_STATE_FAILED
    assert last.problem == "the aggregator closed the federation"
    assert [entry.round for entry in last.historical_accuracy] == [0]
