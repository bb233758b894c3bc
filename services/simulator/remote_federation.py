"""The simulator's client of one federation at the aggregator."""

import asyncio
import time
from collections.abc import Sequence

import grpc

from fedsiege import seeding
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.errors import Refusal
from fedsiege.services.retry import attempts
from fedsiege.services.rpc.channel import TRANSIENT, call_with_retry
from fedsiege.services.rpc.pulling import ModelStream
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.simulator.assignment import seconds
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

#: Seconds for which a call is repeated after a lost connection. On an overloaded machine a ping may
#: stay unanswered for longer than the keepalive timeout.
RETRY_TIMEOUT = 60.0


class RemoteFederation:
    """One federation at the aggregator, with the calls that a scheduler needs.

    Args:
        aggregator: the aggregator's stub.
        described: the aggregator's description of the new federation.
    """

    def __init__(
        self, aggregator: "rpc.AggregatorServiceAsyncStub", described: pb.Federation
    ) -> None:
        self._aggregator = aggregator
        self.described = described
        self.federation_id = described.federation_id
        #: The history entries, each with the participants as described after its round.
        self.entries: asyncio.Queue[tuple[pb.AccuracyEntry, list[pb.Participant]]] = asyncio.Queue()
        self._models = ModelStream(aggregator)
        self.aggregated = 0
        self._moved = asyncio.Event()

    @property
    def initial_weights(self) -> str:
        """The initial weights in words; a file with its SHA-256."""
        sha256 = self.described.init_sha256
        return f"initial weights: {self.described.spec.init}" + (
            f", SHA-256 {sha256}" if sha256 else ""
        )

    @classmethod
    async def create(
        cls, aggregator: "rpc.AggregatorServiceAsyncStub", spec: ExperimentSpec
    ) -> "RemoteFederation":
        """Create the federation of an experiment; wait until the aggregator can be reached."""
        request = pb.CreateFederationRequest(
            spec=pb.FederationSpec(
                name=spec.name,
                model=spec.model,
                init=spec.init or "",
                dataset=spec.dataset,
                rule=spec.rule,
                # With the run's seed the aggregator could compute the participants' noise.
                seed=seeding.derived(spec.seed, "aggregator") if spec.privacy else spec.seed,
                # Intrusions enrol sybils: the capacity must not be what stops them.
                capacity=0 if spec.intrusions else required_capacity(spec),
                device=spec.device,
                admission=spec.admission or "",
                audit=spec.audit,
            )
        )
        response = await aggregator.CreateFederation(request, wait_for_ready=True)
        return cls(aggregator, response.federation)

    async def follow(self) -> None:
        """Put every history entry into ``entries``, each once, and reconnect when needed."""
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
        """Wait until a round has been aggregated."""
        while self.aggregated < round_number:
            await self._moved.wait()
            self._moved.clear()

    async def open_round(
        self, number: int, indices: Sequence[int], threshold: int, deadline: float
    ) -> None:
        """Open the next round, and again after a lost connection.

        Args:
            number: the round.
            indices: the scheduled participants.
            threshold: the number of updates that closes it.
            deadline: seconds until it closes in any case.
        """
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
                # The call that lost its connection has opened the round: no other caller opens any.
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
            patience: seconds to retry after a lost connection; 0 for one attempt.
        """
        deadline = time.monotonic() + patience if patience else None
        size = self.described.parameters
        return await self._models.pull(self.federation_id, 0, size, deadline=deadline)

    async def close(self) -> None:
        """Close the federation at the aggregator."""
        self._models.close()
        request = pb.CloseFederationRequest(federation_id=self.federation_id)
        await self._aggregator.CloseFederation(request)


def required_capacity(spec: ExperimentSpec) -> int:
    """Return the capacity that an experiment needs; 0 for an open number of participants."""
    return spec.clients + max(0, spec.identities - spec.hostile)
