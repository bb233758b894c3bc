"""Attached workers, and the distribution of participants among them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fedsiege.services.errors import Malformed
from fedsiege.services.rpc.report_limit import ReportLimit
from fedsiege.v1 import simulator_pb2 as pb

log = logging.getLogger(__name__)

NAME_LENGTH = 100
LARGEST_CAPACITY = 1_000_000
#: Log lines about attached and detached workers within so many seconds.
MAX_LOG_LINES, LOG_PERIOD = 2_000, 60.0


@dataclass(eq=False)
class AttachedWorker:
    """One attached worker.

    Attributes:
        hello: its name, kind and capacity.
        attached_at: Unix time in seconds.
        outbox: messages to send to it; None ends its stream.
        experiment_id: the experiment that it hosts participants for; empty if none.
    """

    hello: pb.Hello
    attached_at: float = field(default_factory=time.time)
    outbox: asyncio.Queue[pb.AttachResponse | None] = field(default_factory=asyncio.Queue)
    experiment_id: str = ""

    @property
    def name(self) -> str:
        """The worker's name."""
        return self.hello.worker

    def send(self, message: pb.AttachResponse) -> None:
        """Send the worker a message."""
        self.outbox.put_nowait(message)


class Workers:
    """The attached workers, by name."""

    def __init__(self) -> None:
        self._attached: dict[str, AttachedWorker] = {}
        self._listeners: list[Callable[[], None]] = []
        self._log_limit = ReportLimit(log.info, MAX_LOG_LINES)
        self._reset_at = time.monotonic()

    def __iter__(self) -> Iterator[AttachedWorker]:
        return iter(self._attached.values())

    def __len__(self) -> int:
        return len(self._attached)

    def get(self, name: str) -> AttachedWorker | None:
        """Return the attached worker of a name; None if there is none."""
        return self._attached.get(name)

    def attach(self, hello: pb.Hello) -> AttachedWorker:
        """Add a worker; one of the same name is replaced, and its stream ended.

        Raises:
            Malformed: name, kind or capacity is out of range.
        """
        if not 1 <= len(hello.worker) <= NAME_LENGTH or not hello.worker.isprintable():
            raise Malformed(
                "INVALID_VALUE",
                f"worker {hello.worker[:NAME_LENGTH]!r} must have 1 to {NAME_LENGTH} printable "
                "characters",
            )
        if hello.kind not in (pb.WORKER_KIND_CLIENT, pb.WORKER_KIND_ATTACKER):
            raise Malformed(
                "INVALID_VALUE", f"worker kind {hello.kind} must be 1 (client) or 2 (attacker)"
            )
        if not 1 <= hello.capacity <= LARGEST_CAPACITY:
            raise Malformed(
                "INVALID_VALUE",
                f"capacity {hello.capacity} must be 1 to {LARGEST_CAPACITY} participants",
            )
        old = self._attached.pop(hello.worker, None)
        if old is not None:
            self.log(f"worker {hello.worker} attaches again")
            old.outbox.put_nowait(None)
        worker = self._attached[hello.worker] = AttachedWorker(hello)
        self._notify_listeners()
        return worker

    def detach(self, worker: AttachedWorker) -> None:
        """Remove a worker whose stream has ended, unless another has replaced it."""
        if self._attached.get(worker.name) is worker:
            del self._attached[worker.name]
            self._notify_listeners()

    def log(self, text: str) -> None:
        """Log that a worker was attached or detached; the rate is limited to protect the disk."""
        now = time.monotonic()
        if now - self._reset_at >= LOG_PERIOD:
            self._reset_at = now
            self._log_limit.reset()
        self._log_limit.report("attached and detached workers", text)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener after every change; return a function that removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _notify_listeners(self) -> None:
        for listener in list(self._listeners):
            listener()

    def of_kind(self, kind: pb.WorkerKind.ValueType) -> list[AttachedWorker]:
        """Return the workers of a kind, by name."""
        return sorted((w for w in self if w.hello.kind == kind), key=lambda w: w.name)


def share_out(indices: Sequence[int], capacities: Mapping[str, int]) -> dict[str, list[int]]:
    """Distribute participants among workers: consecutive indices, as evenly as capacities allow.

    Args:
        indices: the participants, ascending.
        capacities: the largest number of participants of each worker, by name.

    Returns:
        The participants of each worker that gets some; a function of the arguments alone.

    Raises:
        ValueError: the capacities are too small.
    """
    shares: dict[str, list[int]] = {}
    left, start = len(indices), 0
    # Small workers are filled first: what exceeds their capacity is spread over the others.
    sizes: dict[str, int] = {}
    for position, name in enumerate(sorted(capacities, key=lambda name: capacities[name])):
        workers_left = len(capacities) - position
        sizes[name] = min(capacities[name], -(-left // workers_left))
        left -= sizes[name]
    if left:
        raise ValueError(f"the capacities are {left} short of {len(indices)} participants")
    for name in capacities:
        if sizes[name]:
            shares[name] = list(indices[start : start + sizes[name]])
            start += sizes[name]
    return shares
