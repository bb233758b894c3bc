"""Assignment for an experiment with an open number of participants, which workers may join late."""

import asyncio
from collections.abc import Callable, Sequence

from fedsiege.experiment.hostile import fakes_beside
from fedsiege.experiment.roster import Roster
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator.assignment import (
    LARGEST_FEDERATION,
    Assignment,
    Hosted,
    WorkersMissing,
)
from fedsiege.services.simulator.workers import AttachedWorker, Workers
from fedsiege.v1 import simulator_pb2 as pb

#: Seconds without a new worker after which an experiment starts.
ARRIVAL_PAUSE = 3.0


class OpenAssignment(Assignment):
    """Assigns a benign participant to every place on a client worker, and fakes in proportion.

    Indices are assigned in order of arrival and never reused, so that a worker that attaches again
    keeps its own. In each round the number of fakes follows from the number of available benign
    participants and the hostile fraction.
    """

    def __init__(
        self,
        experiment_id: str,
        spec: ExperimentSpec,
        roster: Roster,
        workers: Workers,
        note: Callable[[str], None],
        inputs: str = "",
    ) -> None:
        super().__init__(experiment_id, spec, roster, workers, note, inputs)
        self._federation_id = ""
        self._next_index = 0
        self._last_arrival = asyncio.get_running_loop().time()
        self._known: set[str] = set()

    def _workers_changed(self) -> None:
        """Record new workers, and check again after a pause without another one."""
        super()._workers_changed()
        names = {worker.name for worker in self._workers}
        if names - self._known:
            self._known |= names
            loop = asyncio.get_running_loop()
            self._last_arrival = loop.time()
            loop.call_later(ARRIVAL_PAUSE, self._wake.set)

    def missing(self) -> str:
        """Return what the experiment waits for, for people; empty if it can start."""
        places = sum(w.hello.capacity for w in self._workers.of_kind(pb.WORKER_KIND_CLIENT))
        wanted = self._spec.min_clients or 1
        if places < wanted:
            return f"waiting for {wanted} places on client workers ({places} are there)"
        fakes = fakes_beside(places, self._spec.attack)
        room = sum(w.hello.capacity for w in self._workers.of_kind(pb.WORKER_KIND_ATTACKER))
        if room < fakes:
            return f"waiting for {fakes} places on attacker workers ({room} are there)"
        since = asyncio.get_running_loop().time() - self._last_arrival
        if self._spec.min_clients is None and since < ARRIVAL_PAUSE:
            asyncio.get_running_loop().call_later(ARRIVAL_PAUSE - since, self._wake.set)
            return f"waiting until no more workers attach ({places} places are there)"
        return ""

    def assign(self, federation_id: str) -> None:
        """Assign participants to all attached workers."""
        self._federation_id = federation_id
        self._assign_newcomers()

    def _cannot_join(self, hosted: Hosted, problem: str) -> None:
        """Go on without a worker that cannot take part."""
        hosted.refused = len(hosted.join.participant_indices) - len(hosted.enrolled)

    def _not_ready(self, problem: str) -> None:
        """Start without workers that are slow; they take part once they are ready."""
        if not self._available():
            raise WorkersMissing(problem)
        self._note(problem)

    def _assign_newcomers(self) -> None:
        """Assign participants to new client workers, and fakes in proportion to attackers."""
        for worker in self._workers.of_kind(pb.WORKER_KIND_CLIENT):
            if worker.name not in self._hosted:
                share = self._new_indices(worker.hello.capacity)
                self._assign_worker(pb.WORKER_KIND_CLIENT, worker, share)
        benign = sum(
            len(hosted.join.participant_indices)
            for hosted in self._hosted.values()
            if hosted.worker is not None and hosted.join.HasField("training")
        )
        lacking = fakes_beside(benign, self._spec.attack) - len(self.hostile)
        for worker in self._workers.of_kind(pb.WORKER_KIND_ATTACKER):
            before = self._indices_of(worker.name)
            added = self._new_indices(max(0, min(lacking, worker.hello.capacity - len(before))))
            if added:
                self.hostile.update(added)
                self._assign_worker(pb.WORKER_KIND_ATTACKER, worker, [*before, *added])
                lacking -= len(added)

    def _indices_of(self, name: str) -> list[int]:
        hosted = self._hosted.get(name)
        return [] if hosted is None else list(hosted.join.participant_indices)

    def _new_indices(self, count: int) -> list[int]:
        """Return up to ``count`` unused indices; fewer if the federation is full."""
        end = min(self._next_index + count, LARGEST_FEDERATION)
        fresh = list(range(self._next_index, end))
        self._next_index = end
        return fresh

    def _assign_worker(
        self, kind: pb.WorkerKind.ValueType, worker: AttachedWorker, share: Sequence[int]
    ) -> None:
        """Send a worker the join message of its participants, if it has any."""
        if share:
            join = self._join_message(kind, self._federation_id, list(share))
            before = self._hosted.get(worker.name)
            hosted = Hosted(join, worker, before.enrolled if before else [])
            self._hosted[worker.name] = hosted
            self._send(hosted, worker)

    def _available(self) -> list[int]:
        """Return the available benign participants, and fakes in proportion; assign new workers."""
        self._assign_newcomers()
        available = super()._available()
        benign = [index for index in available if index not in self.hostile]
        fakes = [index for index in available if index in self.hostile]
        count = fakes_beside(len(benign), self._spec.attack)
        return sorted([*benign, *fakes[:count]]) if benign else []
