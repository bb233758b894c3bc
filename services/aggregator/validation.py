"""Takes one update from the wire: every check at the door, before anything counts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np

from fedsiege.rules import norm_of
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2
from services.aggregator.admission import Admission
from services.aggregator.federation import Federation
from services.aggregator.round import Round
from services.errors import Forbidden, Malformed, TooSlow
from services.identity.callers import Caller
from services.rpc.tensors import FLOAT_BYTES, Assembly, Floats

#: Seconds that a sender may be silent between two messages.
PATIENCE = 10.0
#: Bytes a second, on average, at which an update must arrive.
LEAST_RATE = 1 << 18
#: Larger than any honest value; small enough that a running sum of such values stays exact.
LARGEST_VALUE = 1e15
#: Updates larger than this are checked in a thread, to keep the event loop responsive.
_CHECKED_ON_THE_LOOP = 1 << 20
#: Buffers for updates that come in several chunks and have no row of their own to be written to.
_STAGING_BUFFERS = 8

#: Updates in one stream; the answer, a receipt for each, must fit into one message.
UPDATES_AT_ONCE = 10_000

#: A piece of an update, alone or among those of others.
Piece = pb.SubmitUpdateRequest | pb.UpdatePiece
Pieces = AsyncIterator[Piece]


async def next_piece(pieces: Pieces) -> Piece | None:
    """Return the next message, or None at the end of the stream.

    Raises:
        TooSlow: nothing came for ``PATIENCE`` seconds.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            return await anext(pieces, None)
    except TimeoutError:
        raise _idle() from None


def _idle() -> TooSlow:
    return TooSlow("STREAM_IDLE", f"nothing came for {PATIENCE:.0f} s; send it again in one go")


class Updates:
    """A stream of several updates, taken apart at the headers.

    Args:
        messages: the stream.
    """

    def __init__(self, messages: AsyncIterator[pb.SubmitUpdatesRequest]) -> None:
        self._pieces = self._unpack(messages)
        self._ahead: Piece | None = None
        self._inside = False

    @staticmethod
    async def _unpack(messages: AsyncIterator[pb.SubmitUpdatesRequest]) -> Pieces:
        async for message in messages:
            if len(message.pieces) > UPDATES_AT_ONCE:  # a million empty ones take half a minute
                raise Malformed("TOO_MANY_UPDATES", f"more than {UPDATES_AT_ONCE} in one message")
            for piece in message.pieces:
                yield piece

    async def first(self) -> Piece | None:
        """Return the first piece of the next update, or None at the end of the stream.

        What is left of an update that was refused half way is passed over.
        """
        piece, self._ahead = self._ahead, None
        if piece is None:
            piece = await next_piece(self._pieces)
            while self._inside and piece is not None and not piece.HasField("header"):
                piece = await next_piece(self._pieces)
        self._inside = True
        return piece

    async def rest(self) -> Pieces:
        """Yield the other pieces of the update."""
        async for piece in self._pieces:
            if piece.HasField("header"):
                self._ahead = piece
                return
            yield piece


async def up_to_the_last(
    first: pb.ExchangeRequest, rest: AsyncIterator[pb.ExchangeRequest]
) -> AsyncIterator[pb.SubmitUpdatesRequest]:
    """Yield the messages with pieces, up to the one that says it is the last.

    Raises:
        Malformed: another request comes before that.
    """
    request: pb.ExchangeRequest | None = first
    while True:
        if request is None:
            return
        if request.WhichOneof("message") != "updates":
            raise Malformed("MALFORMED_STREAM", "another request among the pieces of updates")
        yield request.updates
        if request.last:
            return
        request = await anext(rest, None)


class Intake:
    """The door of one federation.

    Args:
        federation: what the updates are for.
        admission: whom it takes them from.
    """

    def __init__(self, federation: Federation, admission: Admission) -> None:
        self._federation = federation
        self._admission = admission
        self._staging: list[Floats] = []
        self._room = asyncio.Semaphore(_STAGING_BUFFERS)

    async def receive(self, first: Piece, rest: Pieces, caller: Caller) -> None:
        """Take one update in, or refuse it.

        Args:
            first: the message with the header.
            rest: the messages after it, to the end of this update.
            caller: who sends it.

        Raises:
            ServiceError: why it was refused. The round goes on without it.
        """
        federation, header = self._federation, first.header
        participant = federation.participants.find(header.participant_index)
        self._admission.authenticate(participant, header.credential, caller)
        current = federation.require_current(header.round)
        row = current.reserve(header.participant_index)
        try:
            await self._admission.check(participant)
            self._check_header(header)
            async with self._target(current, row, first) as target:
                assembly = Assembly(federation.size, header.checksum, target)
                await self._fill(assembly, current, first, rest)
                update = assembly.finish()
                norm = await self._check_values(update)
                await self._admission.check(participant)  # much may happen while it arrives
                current.accept(row, update, norm, header.num_samples, header.num_steps)
        except (Malformed, Forbidden) as error:
            current.reject(row, error)
            raise
        finally:
            current.release(row)
            federation.after_change()

    def _check_header(self, header: pb.UpdateHeader) -> None:
        size = self._federation.size
        if header.data_type != tensors_pb2.DATA_TYPE_FLOAT32:
            known = header.data_type in tensors_pb2.DataType.values()
            name = tensors_pb2.DataType.Name(header.data_type) if known else header.data_type
            raise Malformed(
                "WRONG_DATA_TYPE", f"the update is {name}; this federation takes DATA_TYPE_FLOAT32"
            )
        if list(header.shape) != [size]:
            raise Malformed(
                "WRONG_SHAPE",
                f"the update has shape {list(header.shape[:8])}; this federation's model has shape "
                f"[{size}]",
            )

    @contextlib.asynccontextmanager
    async def _target(self, current: Round, row: int, first: Piece) -> AsyncIterator[Floats | None]:
        """Lend a place for the chunks: the update's row, a staging buffer, or none if not needed.

        Staging buffers are few, so that memory does not grow with the number of senders; who finds
        none waits, and flow control makes the sender wait.
        """
        target, size = current.target(row), self._federation.size
        if target is not None or len(first.chunk.data) >= size * FLOAT_BYTES:
            yield target
            return
        async with self._room:
            buffer = self._staging.pop() if self._staging else np.empty(size, np.float32)
            try:
                yield buffer
            finally:
                self._staging.append(buffer)

    async def _fill(self, assembly: Assembly, current: Round, first: Piece, rest: Pieces) -> None:
        """Read the stream to its end.

        Raises:
            TooSlow: nothing came for ``PATIENCE``, or all of it came slower than ``LEAST_RATE``:
                who trickles must not keep a place that others wait for.
        """
        clock = asyncio.get_running_loop().time
        limit = PATIENCE + self._federation.size * FLOAT_BYTES / LEAST_RATE
        end, piece = clock() + limit, first
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                while True:
                    current.require_open()  # a closed round's rows belong to the rule
                    if piece.HasField("chunk"):
                        assembly.add(piece.chunk)
                    elif piece is not first:
                        raise Malformed(
                            "MALFORMED_STREAM", "a message after the first carries no chunk"
                        )
                    following = await anext(rest, None)
                    if following is None:
                        return
                    piece = following
                    patience.reschedule(min(end, clock() + PATIENCE))
        except TimeoutError:
            if clock() >= end:
                raise TooSlow("STREAM_SLOW", f"it did not arrive in {limit:.0f} s") from None
            raise _idle() from None

    @staticmethod
    async def _check_values(update: Floats) -> float:
        """Return the L2 norm of an update whose every value is usable."""
        if update.size <= _CHECKED_ON_THE_LOOP:
            norm = norm_of(update)
        else:
            norm = await asyncio.to_thread(norm_of, update)
        if norm <= LARGEST_VALUE:
            return norm
        # The norm bounds every value, so only now it is worth looking at each.
        finite = np.isfinite(update)
        if not finite.all():
            first = int(np.argmin(finite))
            raise Malformed(
                "NOT_FINITE",
                f"{update.size - int(finite.sum())} of {update.size} values are not finite; the "
                f"first is {update[first]} at position {first}",
            )
        largest = int(np.argmax(np.abs(update)))
        if abs(update[largest]) > LARGEST_VALUE:
            raise Malformed(
                "TOO_LARGE",
                f"the value {update[largest]:g} at position {largest}; values up to "
                f"{LARGEST_VALUE:g} are taken",
            )
        return norm
