"""An assignment, and workers that a test controls."""

from dataclasses import dataclass

from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator.assignment import Assignment
from fedsiege.services.simulator.workers import AttachedWorker, Workers
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import simulator_pb2 as pb

CLIENT, ATTACKER = pb.WORKER_KIND_CLIENT, pb.WORKER_KIND_ATTACKER
SPEC = ExperimentSpec(
    clients=6, attack=0.5, attack_name="random:scale=2", lr=0.5, seed=2**63, partition="iid"
)
HOSTILE = {1, 3, 5}


@dataclass(frozen=True)
class Parts:
    """A roster with hostile participants chosen by the test."""

    hostile: set[int]

    @property
    def benign(self) -> list[int]:
        return [index for index in range(SPEC.clients) if index not in self.hostile]


class Scene:
    """An assignment, and workers that do nothing by themselves."""

    def __init__(self, hostile: set[int] = HOSTILE, **settings: object) -> None:
        self.workers = Workers()
        self.notes: list[str] = []
        self.assignment = Assignment(
            "e1", SPEC.model_copy(update=settings), Parts(hostile), self.workers, self.notes.append
        )

    def attach(self, name: str, capacity: int, kind: int = CLIENT) -> AttachedWorker:
        return self.workers.attach(pb.Hello(worker=name, capacity=capacity, kind=kind))

    def everyone(self) -> list[AttachedWorker]:
        return [self.attach("a", 2), self.attach("b", 9), self.attach("x", 3, ATTACKER)]

    def assigned(self) -> list[AttachedWorker]:
        workers = self.everyone()
        self.assignment.assign("f1")
        return workers

    def joined(self) -> list[AttachedWorker]:
        workers = self.assigned()
        for worker in workers:
            self.say_joined(worker)
            told(worker)
        return workers

    def say_joined(self, worker: AttachedWorker, indices: list[int] | None = None) -> None:
        if indices is None:
            indices = SHARES[worker.name]
        memberships = [
            data_pb.Membership(identity=f"{worker.name}/{i}", participant_index=i) for i in indices
        ]
        joined = pb.Joined(experiment_id="e1", memberships=memberships, method="by hand")
        self.assignment.handle(worker, pb.AttachRequest(joined=joined))

    def say_failed(self, worker: AttachedWorker, problem: str) -> None:
        failure = pb.WorkerFailure(experiment_id="e1", problem=problem)
        self.assignment.handle(worker, pb.AttachRequest(failure=failure))


#: Who gets whom of ``everyone``.
SHARES = {"a": [0, 2], "b": [4], "x": [1, 3, 5]}


def told(worker: AttachedWorker) -> list[pb.AttachResponse]:
    """Return the messages sent to a worker since the last call."""
    messages = []
    while not worker.outbox.empty():
        messages.append(worker.outbox.get_nowait())
    return messages
