"""The simulator's side of one federation at the aggregator."""

import asyncio
import time
from collections.abc import Sequence

import grpc

from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.errors import Refusal
from services.retry import attempts
from services.rpc.channel import TRANSIENT, call_with_retry
from services.rpc.pulling import ModelStream
from services.rpc.tensors import Floats
from services.simulator.assignment import seconds

#: Seconds for which a call is made again when the line breaks. On a machine with more to do than it
#: can, a ping may stay unanswered for longer than a dead peer is given.
RETRY_TIMEOUT = 60.0


class RemoteFederation:
    """One federation, as its scheduler uses it.

    Args:
        aggregator: the data plane.
        described: what the aggregator said when it was created.
    """

    def __init__(
        self, aggregator: "rpc.AggregatorServiceAsyncStub", described: pb.Federation
    ) -> None:
        self._aggregator = aggregator
        self.described = described
        self.federation_id = described.federation_id
        #: Every entry of the history, with what became of each participant in that round.
        self.entries: asyncio.Queue[tuple[pb.AccuracyEntry, list[pb.Participant]]] = asyncio.Queue()
        self._models = ModelStream(aggregator)
        self.aggregated = 0
        self._moved = asyncio.Event()

    @property
    def initial_weights(self) -> str:
        """What it began with, in words; a file with the digest that tells it from others."""
        sha256 = self.described.init_sha256
        return f"initial weights: {self.described.spec.init}" + (
            f", SHA-256 {sha256}" if sha256 else ""
        )

    @classmethod
    async def create(
        cls, aggregator: "rpc.AggregatorServiceAsyncStub", spec: ExperimentSpec
    ) -> "RemoteFederation":
        """Create the federation of an experiment; waits for an aggregator that is not there yet."""
        request = pb.CreateFederationRequest(
            spec=pb.FederationSpec(
                name=spec.name,
                model=spec.model,
                init=spec.init or "",
                dataset=spec.dataset,
                rule=spec.rule,
                seed=spec.seed,
                # Who tries to enrol sybils shall not be stopped by want of room.
                capacity=0 if spec.intrusions else required_capacity(spec),
                device=spec.device,
                admission=spec.admission or "",
                audit=spec.audit,
            )
        )
        response = await aggregator.CreateFederation(request, wait_for_ready=True)
        return cls(aggregator, response.federation)

    async def follow(self) -> None:
        """Put every entry of the history into ``entries``, each once, over broken lines too."""
        following = 0
        async for _ in attempts():
            request = pb.WatchRoundsRequest(
                federation_id=self.federation_id, from_round=following, participants=True
            )
            seen: list[pb.Participant] = []
            try:
                async for event in self._aggregator.WatchRounds(request):
                    if event.HasField("aggregated"):
                        self._has_moved(event.aggregated.round)
                    elif event.HasField("closed"):
                        self._has_moved(event.closed.entry.round)  # before its entry is recorded
                        following = event.closed.entry.round + 1
                        self.entries.put_nowait((event.closed.entry, seen))
                        seen = []
                    elif event.HasField("participants"):
                        seen.extend(event.participants.participants)
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT:
                    raise
            else:
                return

    def _has_moved(self, round_number: int) -> None:
        self.aggregated = max(self.aggregated, round_number)
        self._moved.set()

    async def has_aggregated(self, round_number: int) -> None:
        """Wait until a round has moved the model."""
        while self.aggregated < round_number:
            await self._moved.wait()
            self._moved.clear()

    async def open_round(
        self, number: int, indices: Sequence[int], threshold: int, deadline: float
    ) -> None:
        """Open the next round; over a line that breaks, too."""
        request = pb.OpenRoundRequest(
            federation_id=self.federation_id,
            round=number,
            participant_indices=indices,
            threshold=threshold,
            deadline=seconds(deadline),
        )
        broken = False

        async def call() -> None:
            nonlocal broken
            try:
                await self._aggregator.OpenRound(request)
            except grpc.aio.AioRpcError as error:
                # Before the line broke the round may have been opened; nobody else opens any.
                if not (broken and Refusal.of(error).reason in ("ROUND_OPEN", "WRONG_ROUND")):
                    broken = error.code() in TRANSIENT
                    raise

        await call_with_retry(call, time.monotonic() + RETRY_TIMEOUT)

    async def stop_waiting(self, round_number: int, indices: Sequence[int]) -> None:
        """Stop waiting for participants of a round whose updates cannot come any more."""
        request = pb.StopWaitingRequest(
            federation_id=self.federation_id, round=round_number, participant_indices=indices
        )
        await call_with_retry(
            lambda: self._aggregator.StopWaiting(request), time.monotonic() + RETRY_TIMEOUT
        )

    async def model(self, patience: float = 0.0) -> tuple[Floats, pb.ModelHeader]:
        """Return the current global model.

        Args:
            patience: for how many seconds a line that breaks is opened again; with 0 it fails at
                once if the aggregator is gone.
        """
        deadline = time.monotonic() + patience if patience else None
        size = self.described.parameters
        return await self._models.pull(self.federation_id, 0, size, deadline=deadline)

    async def close(self) -> None:
        """Let the aggregator forget the federation."""
        self._models.close()
        request = pb.CloseFederationRequest(federation_id=self.federation_id)
        await self._aggregator.CloseFederation(request)


def required_capacity(spec: ExperimentSpec) -> int:
    """Return how many indices an experiment needs; 0 with an open number of participants."""
    return spec.clients + max(0, spec.identities - spec.hostile)
