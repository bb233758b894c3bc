"""A worker, as the client returns it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from fedsiege.client.messages import enum_name, time_of
from fedsiege.peer_text import plain
from fedsiege.v1 import simulator_pb2 as pb


@dataclass(frozen=True)
class Worker:
    """A worker that is attached to the simulator.

    Attributes:
        name: its name.
        kind: ``client`` if it hosts benign participants, ``attacker`` if it hosts hostile ones.
        capacity: how many participants it can host.
        attached: since when it is attached.
        experiment_id: the experiment that it hosts participants for; empty if none.
    """

    name: str
    kind: str
    capacity: int
    attached: datetime
    experiment_id: str

    @classmethod
    def of(cls, message: pb.Worker) -> Self:
        """Return the worker of a message.

        Raises:
            Malformed: its time is none.
        """
        return cls(
            name=plain(message.worker),
            kind=enum_name(pb.WorkerKind, message.kind, "WORKER_KIND_"),
            capacity=message.capacity,
            attached=time_of(message.attach_time),
            experiment_id=plain(message.experiment_id),
        )
