"""Workers of an experiment that takes whoever is there, and whoever comes while it runs."""

import asyncio
from collections.abc import Callable, Sequence

from fedsiege.experiment.hostile import fakes_beside
from fedsiege.experiment.roster import Roster
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.v1 import simulator_pb2 as pb
from services.simulator.assignment import LARGEST_FEDERATION, Assignment, Hosted, WorkersMissing
from services.simulator.workers import AttachedWorker, Workers

#: Seconds without a newcomer after which an experiment starts.
ARRIVAL_PAUSE = 3.0


class OpenAssignment(Assignment):
    """Every place on a client worker is a benign participant; fakes join in proportion.

    Indices are given out in the order of arrival and never again, so that who is away for a while
    finds its own. In each round as many fakes take part as the fraction asks for, beside the benign
    participants that are there.
    """

    def __init__(
        self,
        experiment_id: str,
        spec: ExperimentSpec,
        roster: Roster,
        workers: Workers,
        note: Callable[[str], None],
    ) -> None:
        super().__init__(experiment_id, spec, roster, workers, note)
        self._federation_id = ""
        self._next_index = 0
        self._last_arrival = asyncio.get_running_loop().time()
        self._known: set[str] = set()

    def _workers_changed(self) -> None:
        """Note newcomers, and look again once they have stopped arriving."""
        super()._workers_changed()
        names = {worker.name for worker in self._workers}
        if names - self._known:
            self._known |= names
            loop = asyncio.get_running_loop()
            self._last_arrival = loop.time()
            loop.call_later(ARRIVAL_PAUSE, self._wake.set)

    def missing(self) -> str:
        """Say what is still waited for; empty if the experiment can start."""
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
            return f"waiting until newcomers stop arriving ({places} places are there)"
        return ""

    def assign(self, federation_id: str) -> None:
        """Give everyone who is there a place."""
        self._federation_id = federation_id
        self._assign_newcomers()

    def _cannot_join(self, hosted: Hosted, problem: str) -> None:
        """Go on without a worker that cannot take part: one liar must not end it for all."""
        hosted.refused = len(hosted.join.participant_indices) - len(hosted.enrolled)

    def _not_ready(self, problem: str) -> None:
        """Begin without those that are slow; they take part once they are ready."""
        if not self._available():
            raise WorkersMissing(problem)
        self._note(problem)

    def _assign_newcomers(self) -> None:
        """Give places to client workers that have none, and enough fakes places beside them."""
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
        """Return indices that nobody has had; fewer if the federation is full."""
        end = min(self._next_index + count, LARGEST_FEDERATION)
        fresh = list(range(self._next_index, end))
        self._next_index = end
        return fresh

    def _assign_worker(
        self, kind: pb.WorkerKind.ValueType, worker: AttachedWorker, share: Sequence[int]
    ) -> None:
        if share:
            join = self._join_message(kind, self._federation_id, list(share))
            before = self._hosted.get(worker.name)
            hosted = Hosted(join, worker, before.enrolled if before else [])
            self._hosted[worker.name] = hosted
            self._send(hosted, worker)

    def _available(self) -> list[int]:
        """Return the benign participants that are there, and fakes in proportion; newcomers too."""
        self._assign_newcomers()
        there = super()._available()
        benign = [index for index in there if index not in self.hostile]
        fakes = [index for index in there if index in self.hostile]
        count = fakes_beside(len(benign), self._spec.attack)
        return sorted([*benign, *fakes[:count]]) if benign else []
