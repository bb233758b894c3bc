"""What an intrusion is: one way to get in, tried a number of times on a real aggregator."""

import abc
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import grpc

from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.errors import Refusal


@dataclass(frozen=True)
class Foothold:
    """What the attacker has to work with while a round is open.

    Attributes:
        aggregator: a line of its own to the aggregator, as any of its participants has it.
        address: the aggregator's ``host:port``.
        name: the name it goes by.
        federation_id: the federation.
        round: the open round.
        size: how many parameters the model has.
        credentials: the secrets of its own enrolled participants, by index.
        others: indices that belong to somebody else.
        tokens: the enrolment tokens it holds, used up by its own participants.
        patience: seconds that the round stays open at most.
        taken_in: own participants whose genuine updates the aggregator has taken in, as soon as
            there are some; none if it took none.
        certificates: the bundle it calls with, or None without TLS.
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
    patience: float
    taken_in: Awaitable[Sequence[int]]
    certificates: Path | None = None


@dataclass
class Attempts:
    """What came of trying.

    Attributes:
        tried: attempts made.
        succeeded: those the aggregator let pass.
        refusals: how often each reason was given; the status code where there was none.
    """

    tried: int = 0
    succeeded: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def passed(self, count: int = 1) -> None:
        """Note attempts that the aggregator let pass."""
        self.tried += count
        self.succeeded += count

    def refused(self, refusal: Refusal | grpc.aio.AioRpcError) -> None:
        """Note an attempt that it refused."""
        if isinstance(refusal, grpc.aio.AioRpcError):
            refusal = Refusal.of(refusal)
        self.tried += 1
        self.refusals[refusal.reason or refusal.code.name] += 1


class Intrusion(abc.ABC):
    """One way to get in."""

    name: ClassVar[str]

    async def attempt(self, foothold: Foothold, count: int) -> Attempts:
        """Try it so many times; an error in the middle is one more refusal, and ends it.

        Args:
            foothold: what there is to work with.
            count: how often, 1 or more.
        """
        attempts = Attempts()
        try:
            await self._attempt(foothold, count, attempts)
        except grpc.aio.AioRpcError as error:
            attempts.refused(error)
        return attempts

    @abc.abstractmethod
    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Try it so many times, and note what came of each."""
