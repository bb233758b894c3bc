"""A real worker with a made-up crew, between a made-up simulator and a made-up aggregator."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial

import grpc
import numpy as np
import pytest

from fedsiege.errors import InvalidValue
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.aggregator.intake import up_to_the_last
from services.wire import channel, enrolling, server, submitting, worker
from services.wire.authority import Authority
from services.wire.callers import VerifiedCallers
from services.wire.errors import (
    Duplicate,
    Exhausted,
    Forbidden,
    Malformed,
    NotFound,
    ServiceError,
    Unauthenticated,
    WrongState,
)
from services.wire.place import Place
from services.wire.submitting import Update
from services.wire.tensors import Floats, encode_model
from services.wire.tls import Tls
from services.wire.worker import Crew, Worker

SIZE = 5
PATIENCE = 10.0


class ToyCrew(Crew):
    """Sends, for participant i in round t of model w, the update ``w + 100 t + i``."""

    def __init__(self) -> None:
        self.prepared: list[pb.Join] = []
        self.thread = ""
        self.rounds: list[int] = []
        self.error: Exception | None = None
        self.error_in_prepare: Exception | None = None
        self.computing = threading.Event()
        self.go_on: threading.Event | None = None
        self.block = 2
        self.blocks = 0
        self.wrong_index = False

    @property
    def size(self) -> int:
        return SIZE

    def prepare(self, join: pb.Join) -> str:
        self.prepared.append(join)
        self.thread = threading.current_thread().name
        if self.error_in_prepare is not None:
            raise self.error_in_prepare
        return "by guessing"

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        self.rounds.append(round_number)
        for start in range(0, len(indices), self.block):
            self.blocks += 1
            yield [
                Update(index + 1_000 * self.wrong_index, weights + 100 * round_number + index, 7, 3)
                for index in indices[start : start + self.block]
            ]
            self.computing.set()
            if self.go_on is not None:
                assert self.go_on.wait(PATIENCE)
            if self.error is not None:
                raise self.error


class Line:
    """The simulator's end of a worker's line."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[pb.AttachRequest] = asyncio.Queue()
        self.tells: asyncio.Queue[pb.AttachResponse | Exception | None] = asyncio.Queue()
        self.gone = asyncio.Event()

    async def hear(self, kind: str):
        """Return the next thing the worker says, which must be of this kind."""
        message = await asyncio.wait_for(self.heard.get(), PATIENCE)
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    def join(self, indices: Sequence[int] = (2, 4, 5), experiment: str = "e") -> None:
        self.tells.put_nowait(
            pb.AttachResponse(
                join=pb.Join(
                    experiment_id=experiment,
                    federation_id="f",
                    model="toy",
                    participant_indices=indices,
                )
            )
        )

    def take_part(
        self,
        round_number: int,
        indices: Sequence[int] = (2, 4, 5),
        deadline: float = PATIENCE,
        experiment: str = "e",
    ) -> None:
        order = pb.TakePart(
            experiment_id=experiment, round=round_number, participant_indices=indices
        )
        order.deadline.FromMicroseconds(int(deadline * 1e6))
        self.tells.put_nowait(pb.AttachResponse(take_part=order))

    def leave(self) -> None:
        self.tells.put_nowait(pb.AttachResponse(leave=pb.Leave(experiment_id="e")))


class Simulator(rpc.SimulatorServiceServicer):
    """Lets a test speak to the workers that attach."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[Line] = asyncio.Queue()

    async def Attach(self, request_iterator, context):
        line = Line()
        listening = asyncio.create_task(self._listen(line, request_iterator))
        self.lines.put_nowait(line)
        try:
            while (message := await line.tells.get()) is not None:
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, grpc.StatusCode):
                    await context.abort(message, "by the test")
                yield message
        finally:
            listening.cancel()
            line.gone.set()

    @staticmethod
    async def _listen(line: Line, messages: AsyncIterator[pb.AttachRequest]) -> None:
        async for message in messages:
            line.heard.put_nowait(message)

    async def line(self) -> Line:
        return await asyncio.wait_for(self.lines.get(), PATIENCE)

    async def attached(self) -> Line:
        """A line whose hello has been said."""
        line = await self.line()
        await line.hear("hello")
        return line

    async def joined(self, **fields: object) -> Line:
        line = await self.attached()
        line.join(**fields)
        await line.hear("joined")
        return line


Hook = Callable[[data_pb.UpdateHeader], Awaitable[None]]


class LineBreaks(Exception):
    """The line breaks while an update is on it."""


class Aggregator(data_rpc.AggregatorServiceServicer):
    """Takes everything; what a test puts into the hooks happens before or after that."""

    def __init__(self) -> None:
        self.enrolled: list[data_pb.Enrollment] = []
        self.requests: list[int] = []
        self.models: list[int] = []
        self.taken: dict[tuple[int, int], tuple[data_pb.UpdateHeader, np.ndarray]] = {}
        self.submissions: list[int] = []
        self.streams = 0
        self.cut = asyncio.Event()
        self.before: Hook | None = None
        self.after: Hook | None = None
        self.enroll_error: Exception | None = None
        self.refused: dict[str, Exception] = {}
        self.model_error: Exception | None = None
        self.size = SIZE
        self.hold_models: asyncio.Event | None = None
        self.asked_for_model = asyncio.Event()
        self.model_cancelled = asyncio.Event()

    async def Enroll(self, request, context):
        if self.enroll_error is not None:
            raise self.enroll_error
        self.requests.append(len(request.enrollments))
        for enrollment in request.enrollments:
            if enrollment.identity in self.refused:
                raise self.refused[enrollment.identity]
        self.enrolled.extend(request.enrollments)
        return data_pb.EnrollResponse(
            memberships=[
                data_pb.Membership(identity=e.identity, participant_index=e.participant_index)
                for e in request.enrollments
            ]
        )

    async def GetModel(self, request, context):
        self.models.append(request.round)
        self.asked_for_model.set()
        if self.model_error is not None:
            raise self.model_error
        if self.hold_models is not None:
            try:
                await self.hold_models.wait()
            except asyncio.CancelledError:
                self.model_cancelled.set()
                raise
        weights = np.arange(self.size, dtype=np.float32)
        for message in encode_model(request.round, [("w", (self.size,))], weights):
            yield message

    async def SubmitUpdates(self, request_iterator, context):
        self.streams += 1
        messages = [message async for message in request_iterator]
        response = data_pb.SubmitUpdatesResponse()
        try:
            for piece in [piece for message in messages for piece in message.pieces]:
                receipt = response.receipts.add()
                try:
                    await self._take(piece)
                except ServiceError as error:
                    receipt.code = error.number
                    receipt.reason, receipt.message = error.reason, error.message
        except LineBreaks:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the line broke")
        except asyncio.CancelledError:
            self.cut.set()
            raise
        return response

    async def Exchange(self, request_iterator, context):
        """Do the same over a standing stream."""
        async for request in request_iterator:
            if request.HasField("get_model"):
                try:
                    async for message in self.GetModel(request.get_model, context):
                        model = data_pb.GetModelResponse.FromString(message)
                        yield data_pb.ExchangeResponse(model=model)
                except ServiceError as error:
                    refusal = data_pb.Refusal(
                        code=error.number, reason=error.reason, message=error.message
                    )
                    yield data_pb.ExchangeResponse(refusal=refusal)
            else:
                receipts = await self.SubmitUpdates(
                    up_to_the_last(request, request_iterator), context
                )
                yield data_pb.ExchangeResponse(receipts=receipts)

    async def _take(self, piece: data_pb.UpdatePiece) -> None:
        """Take one update; all of them are small enough to come in one piece."""
        header = piece.header
        self.submissions.append(header.participant_index)
        if self.before is not None:
            await self.before(header)
        key = header.round, header.participant_index
        if key in self.taken:
            raise Duplicate("DUPLICATE_UPDATE", "already submitted")
        self.taken[key] = header, np.frombuffer(piece.chunk.data, np.float32)
        if self.after is not None:
            await self.after(header)


class Scene:
    """Everyone on stage."""

    def __init__(self, serve) -> None:
        self.simulator = Simulator()
        self.aggregator = Aggregator()
        self.crews: list[ToyCrew] = []
        self._next_crew: ToyCrew | None = None
        self._serve = serve
        self.hello = pb.Hello(worker="w1", kind=pb.WORKER_KIND_CLIENT, capacity=9, version="0")

    @property
    def crew(self) -> ToyCrew:
        """The crew that the next experiment gets, or the one that it got."""
        if not self.crews and self._next_crew is None:
            self._next_crew = ToyCrew()
        return self.crews[0] if self.crews else self._next_crew

    def _make_crew(self) -> ToyCrew:
        crew, self._next_crew = self._next_crew or ToyCrew(), None
        self.crews.append(crew)
        return crew

    async def start(self, place: Place | None = None) -> "asyncio.Task[None]":
        ends = [await self._serve(self.simulator), await self._serve(self.aggregator)]
        return asyncio.create_task(Worker(self.hello, self._make_crew, *ends, place).run())


@pytest.fixture
def impatient(monkeypatch) -> None:
    """No test waits for a worker's pauses."""
    attempts = partial(channel.attempts, 0.001, 0.01)
    monkeypatch.setattr(worker, "attempts", attempts)
    monkeypatch.setattr(submitting, "attempts", attempts)


@contextlib.asynccontextmanager
async def at_work(scene: Scene, place: Place | None = None) -> AsyncIterator[Scene]:
    """Run the worker of a scene while the block runs."""
    running = await scene.start(place)
    try:
        yield scene
    finally:
        if scene.crew.go_on is not None:
            scene.crew.go_on.set()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def scene(serve, impatient) -> AsyncIterator[Scene]:
    """A client worker at work."""
    async with at_work(Scene(serve)) as scene:
        yield scene


@pytest.fixture
async def attackers(serve, impatient) -> AsyncIterator[Scene]:
    """An attacker worker at work; it has three tokens."""
    scene = Scene(serve)
    scene.hello.kind = pb.WORKER_KIND_ATTACKER
    async with at_work(scene, Place("w1", tokens=("t0", "t1", "t2"))) as scene:
        yield scene


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens on the other side of a line."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it is set nowhere here
            await asyncio.sleep(0.002)


async def refuse(index: int, error: Exception, header: data_pb.UpdateHeader) -> None:
    if header.participant_index == index:
        raise error


async def lose(losses: dict[int, int], header: data_pb.UpdateHeader) -> None:
    """Break the line as often as said for each participant."""
    if losses.get(header.participant_index, 0) > 0:
        losses[header.participant_index] -= 1
        raise LineBreaks


async def test_it_says_who_it_is_joins_and_takes_part(scene):
    line = await scene.simulator.line()
    assert await line.hear("hello") == scene.hello
    line.join()
    joined = await line.hear("joined")
    assert joined.experiment_id == "e"
    assert joined.method == "by guessing"
    assert [(m.identity, m.participant_index) for m in joined.memberships] == [
        ("w1/0", 2),
        ("w1/1", 4),
        ("w1/2", 5),
    ]
    assert scene.crew.prepared[0].model == "toy"
    assert scene.crew.thread.startswith("crew"), "the event loop must not compute"
    secrets = {e.credential for e in scene.aggregator.enrolled}
    assert len(secrets) == 3
    assert {len(secret) for secret in secrets} == {32}

    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.experiment_id, report.round) == ("e", 1)
    assert (report.submitted, report.refused, report.problem) == (3, 0, "")
    assert report.compute_seconds > 0
    for enrolled in scene.aggregator.enrolled:
        header, update = scene.aggregator.taken[1, enrolled.participant_index]
        assert header.credential == enrolled.credential
        assert header.federation_id == "f"
        assert (header.num_samples, header.num_steps) == (7, 3)
        expected = np.arange(SIZE) + 100 + enrolled.participant_index
        np.testing.assert_array_equal(update, expected)


async def test_the_model_is_pulled_once_however_many_it_hosts_and_anew_every_round(scene):
    line = await scene.simulator.joined()
    for number in (1, 2, 3):
        line.take_part(number)
        await line.hear("round_report")
    assert scene.aggregator.models == [1, 2, 3]
    assert scene.crew.rounds == [1, 2, 3]


async def test_only_those_take_part_who_are_called(scene):
    line = await scene.simulator.joined()
    line.take_part(1, [4])
    assert (await line.hear("round_report")).submitted == 1
    assert list(scene.aggregator.taken) == [(1, 4)]


async def test_many_enrol_in_several_requests(scene, monkeypatch):
    monkeypatch.setattr(enrolling, "ENROLLMENTS_AT_ONCE", 3)
    line = await scene.simulator.attached()
    line.join(indices=range(8))
    joined = await line.hear("joined")
    assert [m.participant_index for m in joined.memberships] == list(range(8))
    assert scene.aggregator.requests == [3, 3, 2]


def roll(enrolled: list[data_pb.Enrollment]) -> list[tuple[str, int]]:
    return [(one.identity, one.participant_index) for one in enrolled]


async def test_a_slot_stays_what_it_is_whoever_joins_later(scene):
    line = await scene.simulator.joined(indices=[7, 3])
    line.join(indices=[3, 7, 9])
    await line.hear("joined")
    assert dict(roll(scene.aggregator.enrolled)) == {"w1/0": 7, "w1/1": 3, "w1/2": 9}
    line.join(indices=[0, 1], experiment="next")
    await line.hear("joined")
    assert roll(scene.aggregator.enrolled)[-2:] == [("w1/0", 0), ("w1/1", 1)]


async def test_of_a_client_all_enrol_or_none(scene):
    scene.aggregator.refused["w1/1"] = Forbidden("TOKEN_REVOKED", "out with you")
    line = await scene.simulator.attached()
    line.join()
    failure = await line.hear("failure")
    assert failure.problem == "the aggregator refused: PERMISSION_DENIED: out with you"
    assert scene.aggregator.requests == [3], "not one by one"


async def test_each_slot_shows_its_token_and_who_has_none_stays_out(attackers):
    line = await attackers.simulator.attached()
    line.join(indices=range(10, 15))
    joined = await line.hear("joined")
    assert [m.participant_index for m in joined.memberships] == [10, 11, 12]
    assert joined.refused == 2
    assert [e.token for e in attackers.aggregator.enrolled] == ["t0", "t1", "t2"]


async def test_a_refusal_does_not_sink_the_other_attackers(attackers, caplog):
    attackers.aggregator.refused["w1/1"] = Forbidden("TOKEN_REVOKED", "out with you")
    line = await attackers.simulator.attached()
    line.join()
    joined = await line.hear("joined")
    assert [m.participant_index for m in joined.memberships] == [2, 5]
    assert joined.refused == 1
    assert attackers.aggregator.requests == [3, 1, 1, 1]
    assert "out with you" in caplog.text
    line.take_part(1, [2, 5])
    assert (await line.hear("round_report")).submitted == 2


async def test_where_no_attacker_gets_in_the_experiment_goes_on_without(attackers):
    attackers.aggregator.enroll_error = Unauthenticated("TOKEN_MISSING", "no token")
    line = await attackers.simulator.attached()
    line.join()
    joined = await line.hear("joined")
    assert (len(joined.memberships), joined.refused) == (0, 3)


async def test_what_concerns_all_attackers_fails_at_once(attackers):
    attackers.aggregator.enroll_error = NotFound("UNKNOWN_FEDERATION", "there is none")
    line = await attackers.simulator.attached()
    line.join()
    assert "there is none" in (await line.hear("failure")).problem


async def test_a_successor_with_the_same_place_has_the_same_secrets(serve, impatient):
    secrets = []
    for _ in range(2):
        async with at_work(Scene(serve), Place("w1", b"from the place")) as scene:
            await scene.simulator.joined()
            secrets.append({e.identity: e.credential for e in scene.aggregator.enrolled})
    assert secrets[0] == secrets[1]
    assert len(set(secrets[0].values())) == 3


async def test_a_renewed_certificate_is_used_at_once_and_no_post_is_lost(
    tmp_path, monkeypatch, impatient
):
    monkeypatch.setattr(server, "GRACE", 0.0)
    authority = Authority.create(tmp_path)
    authority.issue("here", places=0, hosts=["127.0.0.1"])
    authority.issue("w1", places=3)
    serials: list[tuple[str, int]] = []

    class Noting(VerifiedCallers):
        def identify(self, context):
            caller = super().identify(context)
            serials.append((caller.name, caller.proof.serial))
            return caller

    monkeypatch.setattr("services.wire.tls.VerifiedCallers", Noting)
    async with contextlib.AsyncExitStack() as stack:

        async def serve(servicer) -> str:
            add = (
                data_rpc.add_AggregatorServiceServicer_to_server
                if isinstance(servicer, Aggregator)
                else rpc.add_SimulatorServiceServicer_to_server
            )
            running = server.serving(
                "127.0.0.1:0", lambda one: add(servicer, one), [], tls=Tls(tmp_path / "here")
            )
            return f"127.0.0.1:{await stack.enter_async_context(running)}"

        place = Place("w1", b"secret", tls=Tls(tmp_path / "w1", interval=0.01))
        async with at_work(Scene(serve), place) as scene:
            line = await scene.simulator.joined()
            scene.aggregator.hold_models = asyncio.Event()
            line.take_part(1)
            await asyncio.wait_for(scene.aggregator.asked_for_model.wait(), PATIENCE)
            old = {serial for _, serial in serials}
            new = authority.renew("w1").serial
            again = await scene.simulator.attached()
            scene.aggregator.hold_models.set()
            report = await again.hear("round_report")
            assert (report.round, report.submitted) == (1, 3), "the round it was in"
            again.join()
            await again.hear("joined")
            assert len(scene.crew.prepared) == 1, "the post is the same"
            before = len(serials)
            again.take_part(2)
            assert (await again.hear("round_report")).submitted == 3
            assert {serial for _, serial in serials[before:]} == {new}
            assert old == {authority.issued()[1].serial} != {new}


async def test_refusals_are_counted_and_the_first_is_told(scene):
    scene.aggregator.before = partial(refuse, 4, Malformed("NOT_FINITE", "a NaN at position 3"))
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused) == (2, 1)
    assert report.problem == "INVALID_ARGUMENT: a NaN at position 3"
    assert scene.aggregator.submissions == [2, 4, 5], "what can never be right is not tried again"


async def test_a_broken_line_is_tried_again(scene):
    scene.aggregator.before = partial(lose, {2: 3, 5: 1})
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused, report.problem) == (3, 0, "")
    assert scene.aggregator.streams == 2 + 4


async def test_an_update_whose_answer_was_lost_has_been_submitted(scene):
    scene.aggregator.after = partial(lose, {4: 1})
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused, report.problem) == (3, 0, "")
    assert scene.aggregator.submissions == [2, 4, 2, 4, 5]


async def test_a_duplicate_that_was_not_its_own_is_a_refusal(scene):
    scene.aggregator.before = partial(refuse, 4, Duplicate("DUPLICATE_UPDATE", "somebody did"))
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused) == (2, 1)
    assert "somebody did" in report.problem


async def test_a_line_that_stays_broken_is_given_up_at_the_deadline(scene):
    scene.aggregator.before = partial(lose, {5: 1_000_000})
    line = await scene.simulator.joined()
    line.take_part(1, deadline=0.2)
    report = await line.hear("round_report")
    assert report.refused >= 1
    assert report.submitted + report.refused == 3
    assert report.problem
    assert (1, 5) not in scene.aggregator.taken


async def test_an_aggregator_that_does_not_answer_is_given_up_at_the_deadline(scene):
    async def never(header):
        await asyncio.Event().wait()

    scene.aggregator.before = never
    line = await scene.simulator.joined()
    line.take_part(1, deadline=0.2)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused) == (0, 3)
    assert "DEADLINE_EXCEEDED" in report.problem


async def test_a_round_that_went_on_without_it_is_reported_as_such(scene):
    scene.aggregator.model_error = WrongState("STALE_ROUND", "round 1 takes no more updates")
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused) == (0, 3)
    assert report.problem == "FAILED_PRECONDITION: round 1 takes no more updates"


async def test_an_aggregator_without_a_model_is_quoted(scene):
    scene.aggregator.model_error = NotFound("UNKNOWN_FEDERATION", "there is no federation 'f'")
    line = await scene.simulator.joined()
    line.take_part(1)
    failure = await line.hear("failure")
    assert failure.problem == "the aggregator refused: NOT_FOUND: there is no federation 'f'"


@pytest.mark.parametrize("how", [None, grpc.StatusCode.UNAVAILABLE, Malformed("NO", "not you")])
async def test_a_lost_line_is_opened_again_and_the_work_goes_on(scene, how):
    line = await scene.simulator.joined()
    secrets = [e.credential for e in scene.aggregator.enrolled]
    line.tells.put_nowait(how)
    again = await scene.simulator.line()
    assert await again.hear("hello") == scene.hello
    again.join()
    joined = await again.hear("joined")
    assert joined.method == "by guessing"
    assert [e.credential for e in scene.aggregator.enrolled] == secrets * 2, "same secrets"
    again.take_part(1)
    assert (await again.hear("round_report")).submitted == 3
    assert len(scene.crew.prepared) == 1, "it is ready already"


async def test_a_line_lost_many_times_leaves_nothing_behind(scene):
    line = await scene.simulator.attached()
    for _ in range(3):
        line.tells.put_nowait(None)
        line = await scene.simulator.attached()
    before = len(asyncio.all_tasks())
    for _ in range(10):
        line.tells.put_nowait(None)
        line = await scene.simulator.attached()
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_nobody_need_be_there_first(serve, scene, free_port):
    late = Simulator()
    hello = pb.Hello(worker="early", kind=pb.WORKER_KIND_ATTACKER, capacity=1, version="0")
    address = f"127.0.0.1:{free_port}"
    early = asyncio.create_task(Worker(hello, ToyCrew, address, address).run())
    await asyncio.sleep(0.05)
    assert not early.done()
    await serve(late, free_port)
    line = await late.line()
    assert (await line.hear("hello")).worker == "early"
    early.cancel()


async def test_who_is_sent_home_stops_and_says_nothing(scene):
    scene.crew.go_on = threading.Event()
    line = await scene.simulator.joined()
    line.take_part(1)
    assert await asyncio.to_thread(scene.crew.computing.wait, PATIENCE)
    line.leave()
    line.join(experiment="next", indices=[0])
    await until(lambda: len(scene.crews) == 2)
    scene.crew.go_on.set()
    joined = await line.hear("joined")
    assert joined.experiment_id == "next"
    assert set(scene.aggregator.submissions) <= {2, 4}, "nothing of what it computed after that"
    line.take_part(2)  # of an experiment it has forgotten
    line.take_part(1, [0], experiment="next")
    assert (await line.hear("round_report")).experiment_id == "next"


async def test_a_newer_round_takes_the_place_of_an_older_one(scene):
    scene.aggregator.hold_models = asyncio.Event()
    line = await scene.simulator.joined()
    line.take_part(1)
    await asyncio.wait_for(scene.aggregator.asked_for_model.wait(), PATIENCE)
    line.take_part(2)
    await asyncio.wait_for(scene.aggregator.model_cancelled.wait(), PATIENCE)
    scene.aggregator.hold_models.set()
    report = await line.hear("round_report")
    assert (report.round, report.submitted) == (2, 3)
    assert {number for number, _ in scene.aggregator.taken} == {2}
    assert scene.crew.rounds == [2]
    assert line.heard.empty()


async def test_a_newer_round_ends_the_uploads_of_an_older_one(scene):
    held = asyncio.Event()

    async def hold_round_one(header):
        if header.round == 1:
            held.set()
            await asyncio.Event().wait()

    scene.aggregator.before = hold_round_one
    line = await scene.simulator.joined()
    line.take_part(1)
    await asyncio.wait_for(held.wait(), PATIENCE)
    line.take_part(2)
    report = await line.hear("round_report")
    assert (report.round, report.submitted) == (2, 3)
    await asyncio.wait_for(scene.aggregator.cut.wait(), PATIENCE)


async def test_a_newer_round_ends_what_is_sent_while_the_crew_computes(scene):
    async def hold_round_one(header):
        if header.round == 1:
            await asyncio.Event().wait()

    scene.aggregator.before = hold_round_one
    scene.crew.go_on = threading.Event()
    line = await scene.simulator.joined()
    line.take_part(1)
    await until(lambda: scene.aggregator.submissions == [2])
    line.take_part(2)
    await asyncio.wait_for(scene.aggregator.cut.wait(), PATIENCE)
    scene.crew.go_on.set()
    report = await line.hear("round_report")
    assert (report.round, report.submitted) == (2, 3)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InvalidValue("momentum", 3, "below 1"), "momentum=3 is not possible: below 1"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
@pytest.mark.parametrize("block", [1, 2], ids=["uploads under way", "one block"])
async def test_a_crew_that_fails_says_why_and_may_try_the_next_round(scene, error, words, block):
    scene.crew.error, scene.crew.block = error, block
    line = await scene.simulator.joined()
    line.take_part(1)
    failure = await line.hear("failure")
    assert (failure.experiment_id, failure.problem) == ("e", words)
    scene.crew.error = None
    line.take_part(2)
    assert (await line.hear("round_report")).submitted == 3


async def test_a_crew_that_cannot_prepare_says_why(scene):
    scene.crew.error_in_prepare = InvalidValue("data set", "mnst", "did you mean mnist?")
    line = await scene.simulator.attached()
    line.join()
    failure = await line.hear("failure")
    assert failure.problem == "data set='mnst' is not possible: did you mean mnist?"
    scene.crew.error_in_prepare = None
    line.join()
    await line.hear("joined")


async def test_an_aggregator_that_does_not_want_it_is_quoted(scene):
    scene.aggregator.enroll_error = Exhausted("FEDERATION_FULL", "room for 2")
    line = await scene.simulator.attached()
    line.join()
    failure = await line.hear("failure")
    assert failure.problem == "the aggregator refused: RESOURCE_EXHAUSTED: room for 2"


async def test_a_model_of_another_size_is_not_trained(scene):
    scene.aggregator.size = SIZE + 1
    line = await scene.simulator.joined()
    line.take_part(1)
    failure = await line.hear("failure")
    assert f"{4 * SIZE + 4} bytes" in failure.problem
    assert scene.crew.rounds == []


async def test_one_block_is_sent_while_the_next_is_computed(scene):
    held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(header):
        held.set()
        await go_on.wait()

    scene.aggregator.before = hold
    line = await scene.simulator.joined(indices=range(20))
    line.take_part(1, range(20))
    await asyncio.wait_for(held.wait(), PATIENCE)
    await until(lambda: scene.crew.blocks == 2)
    await asyncio.sleep(0.05)
    assert scene.crew.blocks == 2, "memory holds two blocks, however many participants there are"
    go_on.set()
    assert (await line.hear("round_report")).submitted == 20
    assert scene.aggregator.streams == 10


async def test_a_crew_that_speaks_for_others_fails(scene):
    line = await scene.simulator.joined()
    scene.crew.wrong_index = True
    line.take_part(1)
    failure = await line.hear("failure")
    assert "1002" in failure.problem
    assert scene.aggregator.streams == 0


async def test_two_experiments_do_not_mix(scene):
    line = await scene.simulator.joined()
    line.join(experiment="other", indices=[0, 1])
    assert (await line.hear("joined")).experiment_id == "other"
    line.take_part(1)
    line.take_part(1, [0, 1], experiment="other")
    reports = [await line.hear("round_report") for _ in range(2)]
    assert {(r.experiment_id, r.submitted) for r in reports} == {("e", 3), ("other", 2)}
    assert len(scene.crews) == 2
