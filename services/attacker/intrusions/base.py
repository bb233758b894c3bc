"""The interface of an intrusion, and what it is given and returns."""

import abc
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import grpc

from fedsiege.services.errors import Refusal
from fedsiege.v1 import aggregator_pb2_grpc as rpc


@dataclass(frozen=True)
class IntrusionContext:
    """What an attacker can use while a round is open.

    Attributes:
        aggregator: a client stub of the aggregator, as any participant has it.
        address: the aggregator's ``host:port``.
        name: the name of the attacker's worker.
        federation_id: the federation.
        round: the open round.
        size: number of parameters of the model.
        credentials: the secrets of the attacker's own enrolled participants, by index.
        others: indices of participants of other workers.
        tokens: the attacker's enrolment tokens, all bound to its own participants.
        time_limit: seconds after which the round closes.
        accepted: the attacker's participants whose real updates the aggregator has accepted; it is
            awaited, and empty if no update was accepted.
        certificates: the attacker's bundle; None without TLS.
    """

    aggregator: "rpc.AggregatorServiceAsyncStub"
    address: str
    name: str
    federation_id: str
    round: int
    size: int
    credentials: Mapping[int, bytes]
    others: Sequence[int]
    tokens: Sequence[str]
    time_limit: float
    accepted: Awaitable[Sequence[int]]
    certificates: Path | None = None


@dataclass
class Attempts:
    """The results of repeated attempts.

    Attributes:
        tried: number of attempts.
        succeeded: number of attempts that the aggregator did not refuse.
        refusals: number of refusals by reason, or by status code where there was no reason.
    """

    tried: int = 0
    succeeded: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def passed(self, count: int = 1) -> None:
        """Count attempts that the aggregator did not refuse."""
        self.tried += count
        self.succeeded += count

    def refused(self, refusal: Refusal | grpc.aio.AioRpcError) -> None:
        """Count an attempt that the aggregator refused."""
        if isinstance(refusal, grpc.aio.AioRpcError):
            refusal = Refusal.of(refusal)
        self.tried += 1
        self.refusals[refusal.reason or refusal.code.name] += 1


class Intrusion(abc.ABC):
    """A kind of intrusion; ``name`` is its name in the setting ``INTRUSIONS``."""

    name: ClassVar[str]

    async def attempt(self, context: IntrusionContext, count: int) -> Attempts:
        """Try the intrusion ``count`` times; an unexpected error counts as a refusal and ends it.

        Args:
            context: what the attacker can use.
            count: number of attempts, 1 or more.
        """
        attempts = Attempts()
        try:
            await self._attempt(context, count, attempts)
        except grpc.aio.AioRpcError as error:
            attempts.refused(error)
        return attempts

    @abc.abstractmethod
    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Try the intrusion ``count`` times, and count each result in ``attempts``."""
