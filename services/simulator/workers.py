"""The workers that are attached, and how participants are shared out among them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fedsiege.v1 import simulator_pb2 as pb
from services.errors import Malformed
from services.rpc.report_limit import ReportLimit

log = logging.getLogger(__name__)

NAME_LENGTH = 100
LARGEST_CAPACITY = 1_000_000
#: Lines about workers that come and go in so many seconds.
MAX_LOG_LINES, LOG_PERIOD = 2_000, 60.0


@dataclass(eq=False)
class AttachedWorker:
    """One standing line.

    Attributes:
        hello: what the worker says it is.
        outbox: what it is to be told; None ends the line.
        experiment_id: the experiment it hosts participants for; empty if none.
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
    """All attached workers by name."""

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
        """Return the worker of that name if it is attached."""
        return self._attached.get(name)

    def attach(self, hello: pb.Hello) -> AttachedWorker:
        """Note a new line. A worker that attaches again takes the place of its old line.

        Raises:
            Malformed: it does not say properly what it is.
        """
        if not 1 <= len(hello.worker) <= NAME_LENGTH or not hello.worker.isprintable():
            raise Malformed(
                "INVALID_VALUE",
                f"worker {hello.worker[:NAME_LENGTH]!r}: 1 to {NAME_LENGTH} printable characters",
            )
        if hello.kind not in (pb.WORKER_KIND_CLIENT, pb.WORKER_KIND_ATTACKER):
            raise Malformed("INVALID_VALUE", f"worker kind {hello.kind}: 1 client or 2 attacker")
        if not 1 <= hello.capacity <= LARGEST_CAPACITY:
            raise Malformed(
                "INVALID_VALUE", f"capacity {hello.capacity}: 1 to {LARGEST_CAPACITY} participants"
            )
        old = self._attached.pop(hello.worker, None)
        if old is not None:
            self.log(f"worker {hello.worker} attaches again")
            old.outbox.put_nowait(None)
        worker = self._attached[hello.worker] = AttachedWorker(hello)
        self._notify_listeners()
        return worker

    def detach(self, worker: AttachedWorker) -> None:
        """Note the end of a line."""
        if self._attached.get(worker.name) is worker:
            del self._attached[worker.name]
            self._notify_listeners()

    def log(self, text: str) -> None:
        """Log that a worker came or went: one that does so without end must not fill the disk."""
        now = time.monotonic()
        if now - self._reset_at >= LOG_PERIOD:
            self._reset_at = now
            self._log_limit.reset()
        self._log_limit.report("workers that come and go", text)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener after every change; returns what ends this."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _notify_listeners(self) -> None:
        for listener in list(self._listeners):
            listener()

    def of_kind(self, kind: pb.WorkerKind.ValueType) -> list[AttachedWorker]:
        """Return the workers of a kind, by name."""
        return sorted((w for w in self if w.hello.kind == kind), key=lambda w: w.name)


def share_out(indices: Sequence[int], capacities: Mapping[str, int]) -> dict[str, list[int]]:
    """Share participants out among workers: consecutive indices, as evenly as capacities allow.

    Args:
        indices: the participants, ascending.
        capacities: how many each worker can host; together at least as many as there are.

    Returns:
        The participants of each worker, those with none left out. The same workers in the same
        order give the same shares.
    """
    shares: dict[str, list[int]] = {}
    left, start = len(indices), 0
    # The small ones are filled first, so that what they cannot take is spread over the others.
    sizes: dict[str, int] = {}
    for position, name in enumerate(sorted(capacities, key=lambda name: capacities[name])):
        workers_left = len(capacities) - position
        sizes[name] = min(capacities[name], -(-left // workers_left))
        left -= sizes[name]
    if left:
        raise ValueError(f"{left} of {len(indices)} participants find no place")
    for name in capacities:
        if sizes[name]:
            shares[name] = list(indices[start : start + sizes[name]])
            start += sizes[name]
    return shares
