"""Ingest of updates from SubmitUpdates: an update counts after it has passed every check."""

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np

from fedsiege.rules import norm_of
from fedsiege.services.aggregator.admission import Admission
from fedsiege.services.aggregator.federation import Federation
from fedsiege.services.aggregator.round import Round
from fedsiege.services.errors import Forbidden, Malformed, ServiceError, TooSlow
from fedsiege.services.identity.callers import Caller
from fedsiege.services.rpc.pieces import UPDATES_AT_ONCE, Piece, Pieces
from fedsiege.services.rpc.tensors import FLOAT_BYTES, Assembly, Floats
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2

#: Seconds that a sender may pause within an update, or before it asks for receipts.
MESSAGE_TIMEOUT = 10.0
#: Least average rate at which an update must arrive, in bytes a second.
MIN_RATE = 1 << 18
#: Largest accepted absolute value: above any honest one, and a running sum of it stays exact.
LARGEST_VALUE = 1e15
#: Number of values above which an update is checked in a thread, off the event loop.
_CHECKED_INLINE = 1 << 20


class IncomingUpdate:
    """One update that is being received.

    Args:
        federation: the federation that it is for.
        admission: authenticates its participant.
        header: its header.
    """

    def __init__(
        self, federation: Federation, admission: Admission, header: pb.UpdateHeader
    ) -> None:
        self._federation = federation
        self._admission = admission
        self._header = header
        self._round: Round | None = None
        self._row = 0
        self._staging: Floats | None = None
        self.limit = MESSAGE_TIMEOUT + federation.size * FLOAT_BYTES / MIN_RATE
        #: When it must have arrived, on the clock of the event loop.
        self.due = asyncio.get_running_loop().time() + self.limit

    async def begin(self, caller: Caller, first: Piece) -> None:
        """Authenticate the participant, check the header, and reserve a row in the round.

        Args:
            caller: the caller that sends the update.
            first: the piece with the header.

        Raises:
            ServiceError: the update is refused.
        """
        federation, header = self._federation, self._header
        self._participant = federation.participants.find(header.participant_index)
        self._admission.authenticate(self._participant, header.credential, caller)
        current = federation.require_current(header.round)
        self._row = current.reserve(header.participant_index)
        self._round = current
        await self._admission.check(self._participant)
        _check_header(header, federation.size)
        target = current.target(self._row)
        in_pieces = first.data is None or len(first.data) < federation.size * FLOAT_BYTES
        if target is None and in_pieces:
            target = self._staging = await federation.staging.borrow()
        self._assembly = Assembly(federation.size, header.checksum, target)
        if first.data is not None:
            self._add(first, current)

    def add(self, piece: Piece) -> None:
        """Add a further piece.

        Raises:
            ServiceError: the update is refused.
        """
        assert self._round is not None, "add follows begin"
        if piece.data is None:
            raise Malformed("MALFORMED_STREAM", "a message after the first carries no chunk")
        self._add(piece, self._round)

    def _add(self, piece: Piece, current: Round) -> None:
        current.require_open()  # the rule reads the rows of a closed round
        self._assembly.add(piece.offset, piece.data or b"")

    async def finish(self) -> None:
        """Check the values of the complete update and add it to the round.

        Raises:
            ServiceError: the update is refused.
        """
        assert self._round is not None, "finish follows begin"
        update = self._assembly.finish()
        norm = await _check_values(update)
        # Again, because the participant may have been revoked while the update arrived.
        await self._admission.check(self._participant)
        header = self._header
        self._round.accept(self._row, update, norm, header.num_samples, header.num_steps)

    def end(self, refusal: ServiceError | None = None) -> None:
        """Release its row and its buffer.

        Args:
            refusal: the error that refused it; None if it was accepted or its stream ended. After
                a Malformed or Forbidden the participant gets no second attempt in this round.
        """
        if self._round is not None:
            if refusal is not None and isinstance(refusal, Malformed | Forbidden):
                self._round.reject(self._row, refusal)
            self._round.release(self._row)
        if self._staging is not None:
            self._federation.staging.give_back(self._staging)
        self._federation.after_change()


class UpdateStream:
    """The updates of one SubmitUpdates call, each checked on its own.

    Args:
        find: returns the federation of an id, or raises NotFound.
        admission: authenticates participants.
        caller: the caller of the call.
    """

    def __init__(
        self, find: Callable[[str], Federation], admission: Admission, caller: Caller
    ) -> None:
        self._find = find
        self._admission = admission
        self._caller = caller
        self._receipts: list[pb.UpdateReceipt] = []
        #: The update being received; None if it was refused, and its further pieces are ignored.
        self._current: IncomingUpdate | None = None

    async def answers(
        self, messages: AsyncIterator[Pieces]
    ) -> AsyncIterator[pb.SubmitUpdatesResponse]:
        """Process the messages; yield receipts when the sender asks for them, and at the end.

        Raises:
            Malformed: the messages are no sequence of updates.
            NotFound: a federation does not exist.
            TooSlow: the sender pauses for too long within an update.
        """
        try:
            while (message := await self._next(messages)) is not None:
                if not message.pieces and not message.answer:
                    raise Malformed("MALFORMED_STREAM", "a message has no pieces")
                for piece in message.pieces:
                    await self._process(piece)
                if message.answer:
                    yield await self._answer()
            if self._receipts:
                yield await self._answer()
        except TooSlow as error:
            self._refuse(error)
            yield await self._answer()
            raise
        finally:
            if self._current is not None:
                self._current.end()

    async def _next(self, messages: AsyncIterator[Pieces]) -> Pieces | None:
        """Return the next message, None after the last.

        Raises:
            TooSlow: the message is late. There is no limit while no update awaits a receipt.
        """
        if not self._receipts:
            return await anext(messages, None)
        clock = asyncio.get_running_loop().time
        until = clock() + MESSAGE_TIMEOUT
        if self._current is not None:
            until = min(until, self._current.due)
        try:
            async with asyncio.timeout_at(until):
                return await anext(messages, None)
        except TimeoutError:
            if self._current is not None and clock() >= self._current.due:
                limit = self._current.limit
                raise TooSlow(
                    "STREAM_SLOW", f"the update did not arrive in {limit:.0f} s"
                ) from None
            raise TooSlow(
                "STREAM_IDLE",
                f"no message for {MESSAGE_TIMEOUT:.0f} s; send the update again without pauses",
            ) from None

    async def _process(self, piece: Piece) -> None:
        """Process a piece; an error refuses only the update that it belongs to."""
        if piece.header is not None:
            await self._finish()
            await self._begin(piece, piece.header)
        elif not self._receipts:
            raise Malformed("MALFORMED_STREAM", "the first piece must carry the header")
        elif self._current is not None:
            try:
                self._current.add(piece)
            except ServiceError as error:
                self._refuse(error)

    async def _begin(self, piece: Piece, header: pb.UpdateHeader) -> None:
        """Begin the next update."""
        if len(self._receipts) == UPDATES_AT_ONCE:
            raise Malformed("TOO_MANY_UPDATES", f"more than {UPDATES_AT_ONCE} without receipts")
        self._current = IncomingUpdate(self._find(header.federation_id), self._admission, header)
        self._receipts.append(
            pb.UpdateReceipt(round=header.round, participant_index=header.participant_index)
        )
        try:
            await self._current.begin(self._caller, piece)
        except ServiceError as error:
            self._refuse(error)

    async def _finish(self) -> None:
        """Finish the current update, if there is one."""
        if self._current is None:
            return
        try:
            await self._current.finish()
        except ServiceError as error:
            self._refuse(error)
        else:
            self._current.end()
            self._current = None

    def _refuse(self, error: ServiceError) -> None:
        """Record in its receipt why the current update is refused."""
        if self._current is not None:
            self._current.end(error)
            self._current = None
            receipt = self._receipts[-1]
            receipt.code = error.number
            receipt.reason, receipt.message = error.reason, error.message

    async def _answer(self) -> pb.SubmitUpdatesResponse:
        """Finish the current update and return the receipts since the last answer."""
        await self._finish()
        receipts, self._receipts = self._receipts, []
        return pb.SubmitUpdatesResponse(receipts=receipts)


def _check_header(header: pb.UpdateHeader, size: int) -> None:
    """Check data type and shape; raise Malformed."""
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


async def _check_values(update: Floats) -> float:
    """Check that all values are finite and not too large, and return their L2 norm.

    Raises:
        Malformed: a value is not finite, or above ``LARGEST_VALUE``.
    """
    if update.size <= _CHECKED_INLINE:
        norm = norm_of(update)
    else:
        norm = await asyncio.to_thread(norm_of, update)
    if norm <= LARGEST_VALUE:
        return norm
    # The norm bounds every value, so the values are checked one by one only now.
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
            f"the value {update[largest]:g} at position {largest} exceeds the limit of "
            f"{LARGEST_VALUE:g}",
        )
    return norm
