"""The client side of SubmitUpdates: sends updates to the aggregator, with retries."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc

from fedsiege.services.errors import Refusal
from fedsiege.services.retry import attempts
from fedsiege.services.rpc.channel import TRANSIENT
from fedsiege.services.rpc.persistent_call import PersistentCall
from fedsiege.services.rpc.pieces import write_updates
from fedsiege.services.rpc.tensors import Floats
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

_NO_RECEIPT = Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "", "the aggregator gave no receipt")


@dataclass(frozen=True)
class Update:
    """One participant's update of a round.

    Attributes:
        index: the participant index.
        delta: ``(d,)`` contiguous, its model minus the round's global model.
        num_samples: the sample count it reports.
        num_steps: the number of local steps it reports.
    """

    index: int
    delta: Floats
    num_samples: int
    num_steps: int


class Sender:
    """Submits the updates of one worker's participants, over one call for all rounds.

    Args:
        aggregator: the aggregator's stub, from ``channel.data_plane``.
        federation_id: the federation.
        credentials: the participants' secrets by index; participants may be added later.
    """

    def __init__(
        self,
        aggregator: "rpc.AggregatorServiceAsyncStub",
        federation_id: str,
        credentials: Mapping[int, bytes],
    ) -> None:
        self._federation_id = federation_id
        self._credentials = credentials
        self._call = PersistentCall(aggregator.SubmitUpdates)

    async def submit(
        self, round_number: int, updates: Sequence[Update], deadline: float
    ) -> list[Refusal]:
        """Submit updates, and again after a lost connection.

        Args:
            round_number: the round.
            updates: the updates, at least one.
            deadline: when to stop retrying, on the clock of ``time.monotonic``.

        Returns:
            The refusals, one for each update that was not accepted.
        """
        headers = [self._header(round_number, update) for update in updates]
        async for attempt in attempts():
            try:
                async with asyncio.timeout(max(0.001, deadline - time.monotonic())):
                    receipts = await self._send(headers, updates)
            except TimeoutError:
                return [_NO_RECEIPT] * len(updates)
            except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
                refusal = _refusal_of(error)
                if refusal.code in TRANSIENT and time.monotonic() < deadline:
                    continue
                return [refusal] * len(updates)
            without_receipt = len(updates) - len(receipts)
            if without_receipt and time.monotonic() < deadline:
                continue  # the stream stalled and was cut short
            refusals = [Refusal.in_receipt(receipt) for receipt in receipts]
            arriving = any(one and one.reason == "UPDATE_ARRIVING" for one in refusals)
            if arriving and time.monotonic() < deadline:
                continue  # the server has not yet noticed that the former connection is lost
            # after a lost connection a duplicate means that only the receipt was lost
            lost = {"DUPLICATE_UPDATE"} if attempt else set()
            refused = [one for one in refusals if one is not None and one.reason not in lost]
            return [*refused, *[_NO_RECEIPT] * without_receipt]
        raise AssertionError("attempts never end")

    async def _send(
        self, headers: Sequence[pb.UpdateHeader], updates: Sequence[Update]
    ) -> Sequence[pb.UpdateReceipt]:
        """Send the updates once and return their receipts."""
        deltas = (update.delta for update in updates)
        async with self._call.exchange():
            for message in write_updates(zip(headers, deltas, strict=True)):
                await self._call.write(message)
            response = await self._call.read()
        return [] if response is None else response.receipts

    def _header(self, round_number: int, update: Update) -> pb.UpdateHeader:
        return pb.UpdateHeader(
            federation_id=self._federation_id,
            round=round_number,
            participant_index=update.index,
            credential=self._credentials[update.index],
            num_samples=update.num_samples,
            num_steps=update.num_steps,
        )

    def close(self) -> None:
        """Cancel the call."""
        self._call.close()


def _refusal_of(error: grpc.aio.AioRpcError | asyncio.CancelledError) -> Refusal:
    """Return the refusal of a failed call; raise the error if this task itself was cancelled.

    grpc.aio raises CancelledError for a call that loses its connection while it ends its stream.
    """
    if isinstance(error, grpc.aio.AioRpcError):
        return Refusal.of(error)
    here = asyncio.current_task()
    if here is None or here.cancelling():
        raise error
    return Refusal(grpc.StatusCode.CANCELLED, "", "the connection was lost")
