"""A handle of an experiment: its state, its rounds, its end."""

import enum
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Self

from google.protobuf.struct_pb2 import Struct

from fedsiege.client.messages import enum_name, time_of
from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.peer_text import plain
from fedsiege.results import HistoryRow
from fedsiege.services.errors import Malformed
from fedsiege.services.rpc import settings
from fedsiege.services.rpc.blocking import Connection
from fedsiege.services.rpc.history_rows import row_of
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

if TYPE_CHECKING:
    from pandas import DataFrame

#: Most characters of a note or a problem; the simulator sends fewer.
_LONGEST_TEXT = 2_000
_LARGEST_ROUND = 2**32 - 1


class ExperimentState(enum.StrEnum):
    """How far an experiment has come, and how it ended."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the experiment has finished, failed or been cancelled."""
        return self not in (ExperimentState.WAITING, ExperimentState.RUNNING)


class Experiment:
    """An experiment of a simulator. Its attributes are as of the last answer; see ``refresh``.

    Attributes:
        id: its identifier.
        state: how far it has come.
        problem: what it waits for, or why it failed; empty otherwise.
        notes: notes for people, such as an assumed f.
        recorded: how many rounds are recorded, round 0 included.
        hostile: the indices of the hostile participants: the ground truth.
        created: when it was started.
        ended: when it ended; None while it has not.
        results: the results folder on the simulator's machine; empty until it exists.
    """

    id: str
    state: ExperimentState
    problem: str
    notes: tuple[str, ...]
    recorded: int
    hostile: tuple[int, ...]
    created: datetime
    ended: datetime | None
    results: str

    def __init__(self, connection: Connection, described: pb.Experiment) -> None:
        self._connection = connection
        self._stub = rpc.SimulatorServiceStub(connection.channel)
        self._update(described)

    @property
    def spec(self) -> ExperimentSpec:
        """The resolved specification.

        Raises:
            Malformed: it has settings that this version does not know.
        """
        try:
            return settings.read(self._spec)
        except InvalidValue as error:
            raise self._malformed(f"a specification that cannot be read here: {error}") from error

    def refresh(self) -> Self:
        """Ask for the current state, and return the experiment."""
        request = pb.GetExperimentRequest(experiment_id=self.id, without_history=True)
        self._update(self._connection.call(self._stub.GetExperiment, request).experiment)
        return self

    def watch(
        self, from_round: int = 0, *, on_change: "Callable[[Experiment], object] | None" = None
    ) -> Iterator[HistoryRow]:
        """Yield the rounds as they are recorded, until the experiment ends.

        After a lost connection it goes on where it was; no round is lost or yielded twice.

        Args:
            from_round: the first round, which may be over; 0 is the model before any.
            on_change: called with the experiment when its state, problem or notes may have changed.

        Raises:
            Unreachable: the simulator was not reached again within the timeout.
            NotFound: the simulator does not know the experiment, as after its own restart.
        """
        if not 0 <= from_round <= _LARGEST_ROUND:
            raise InvalidValue("from_round", from_round, f"0 to {_LARGEST_ROUND}")
        return self._watch(from_round, on_change)

    def _watch(
        self, position: int, on_change: "Callable[[Experiment], object] | None"
    ) -> Generator[HistoryRow, None, None]:
        events = self._connection.stream(
            self._stub.WatchExperiment,
            lambda: pb.WatchExperimentRequest(experiment_id=self.id, from_round=position),
        )
        with closing(events):
            for event in events:
                if event.HasField("experiment"):
                    self._update(event.experiment)
                    if on_change is not None:
                        on_change(self)
                elif event.HasField("entry"):
                    row = self._row(event.row, position)
                    position += 1
                    self.recorded = max(self.recorded, position)
                    yield row
        if not self.state.ended:
            raise self._malformed(f"the end of the stream, but the experiment is {self.state}")

    def rows(self) -> list[HistoryRow]:
        """Return the rounds recorded so far, round 0 first."""
        self.refresh()
        with closing(self._watch(0, None)) as rows:
            return list(islice(rows, self.recorded))

    def history(self) -> "DataFrame":
        """Return the rounds recorded so far as a data frame with the columns of history.csv."""
        return HistoryRow.frame(self.rows())

    def wait(self) -> Self:
        """Wait until the experiment has ended, and return it."""
        for _ in self._watch(self.recorded, None):
            pass
        return self

    def cancel(self) -> Self:
        """Stop the experiment after what it has is written; has no effect once it has ended."""
        request = pb.CancelExperimentRequest(experiment_id=self.id, without_history=True)
        self._update(self._connection.call(self._stub.CancelExperiment, request).experiment)
        return self

    def _update(self, described: pb.Experiment) -> None:
        """Take over a description.

        Raises:
            Malformed: it has values that this version does not know.
        """
        self.id = plain(described.experiment_id)
        state = enum_name(pb.ExperimentState, described.state, "EXPERIMENT_STATE_")
        if state not in list(ExperimentState):
            raise self._malformed(f"an unknown state: {state}")
        self.state = ExperimentState(state)
        self.problem = plain(described.problem, _LONGEST_TEXT)
        self.notes = tuple(plain(note, _LONGEST_TEXT) for note in described.notes)
        self.recorded = described.num_recorded
        self.hostile = tuple(described.hostile_indices)
        self.results = plain(described.results, _LONGEST_TEXT)
        self.created = time_of(described.create_time)
        self.ended = time_of(described.end_time) if described.HasField("end_time") else None
        self._spec = described.spec

    def _row(self, message: Struct, expected: int) -> HistoryRow:
        """Return a row.

        Raises:
            Malformed: it cannot be read, or is of another round than the one expected.
        """
        try:
            row = row_of(message)
        except KeyError as error:
            raise self._malformed(f"round {expected} without the column {error}") from error
        except ValueError as error:
            raise self._malformed(f"round {expected} with a wrong value: {error}") from error
        if row.round != expected:
            raise self._malformed(f"round {row.round} instead of round {expected}")
        return row

    def _malformed(self, what: str) -> Malformed:
        return Malformed("MALFORMED_MESSAGE", f"{self._connection.address} sent {plain(what)}")

    def __repr__(self) -> str:
        return f"<Experiment {self.id} {self.state}, {self.recorded} rounds recorded>"
