"""Serialisation of ``SubmitUpdatesRequest`` without protobuf's copies of the update values.

Protobuf's classes copy the values of an update three times when writing and twice when reading.
Here they are copied once when writing, into the message, and never when reading: the data of a
piece is a view of the message. The bytes are those of ``SubmitUpdatesRequest``. A message that
differs from the form ``write_updates`` writes is parsed by the protobuf class, so that protobuf's
rules decide what it means.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fedsiege.services.errors import Malformed
from fedsiege.services.rpc.tensors import CHUNK_BYTES, Floats, checksum, raw
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2

#: Limit of pieces in one message and of updates between two answers: an answer must fit into one
#: message, and a million empty pieces would keep a server busy for half a minute.
UPDATES_AT_ONCE = 10_000

#: Tags of the fields, ``number << 3 | wire type``: SubmitUpdatesRequest, UpdatePiece, TensorChunk.
_PIECES, _ANSWER = 0x0A, 0x10
_HEADER, _CHUNK = 0x0A, 0x12
_OFFSET, _DATA = 0x08, 0x12
#: Bytes of the longest varint parsed here; protobuf parses longer ones.
_LONGEST_VARINT = 9


class Piece(NamedTuple):
    """A piece of an update.

    Attributes:
        header: the header of the update that this piece begins; None if it continues an update.
        offset: the position of the data in the update, in bytes.
        data: a view of the message; None if the piece has no chunk.
    """

    header: pb.UpdateHeader | None
    offset: int
    data: "memoryview | bytes | None"


class Pieces(NamedTuple):
    """The content of one message.

    Attributes:
        pieces: its pieces, in order.
        answer: whether the sender asks for the receipts of the updates sent so far.
    """

    pieces: list[Piece]
    answer: bool


def write_updates(updates: Iterable[tuple[pb.UpdateHeader, Floats]]) -> Iterator[bytes]:
    """Serialise updates as messages of up to ``CHUNK_BYTES``; the last asks for an answer.

    Args:
        updates: header and values, ``(d,)`` contiguous, of each update. Data type, shape and
            checksum of the header are set here.

    Yields:
        The serialised messages.
    """
    parts: list[bytes | memoryview] = []
    filled = 0
    for header, update in updates:
        data = raw(update)
        header.data_type = tensors_pb2.DATA_TYPE_FLOAT32
        header.shape[:] = [update.size]
        header.checksum = checksum(data)
        text = header.SerializeToString()
        before = _field(_HEADER, len(text)) + text
        for start in range(0, max(1, len(data)), CHUNK_BYTES):
            numbers = data[start : start + CHUNK_BYTES]
            if filled and filled + len(numbers) > CHUNK_BYTES:
                yield b"".join(parts)
                parts, filled = [], 0
            offset = _field(_OFFSET, start) if start else b""
            chunk = offset + _field(_DATA, len(numbers))
            before += _field(_CHUNK, len(chunk) + len(numbers)) + chunk
            parts += _field(_PIECES, len(before) + len(numbers)), before, numbers
            before = b""
            filled += len(numbers)
    parts.append(_field(_ANSWER, 1))
    yield b"".join(parts)


def read_pieces(message: bytes) -> Pieces:
    """Parse a serialised ``SubmitUpdatesRequest``.

    Raises:
        DecodeError: the bytes are no such message.
        Malformed: the message has more than ``UPDATES_AT_ONCE`` pieces.
    """
    try:
        return _read(message)
    except (_NotCanonicalError, IndexError):
        parsed = pb.SubmitUpdatesRequest.FromString(message)
    _check_number(len(parsed.pieces))
    pieces = [
        Piece(
            piece.header if piece.HasField("header") else None,
            piece.chunk.offset,
            piece.chunk.data if piece.HasField("chunk") else None,
        )
        for piece in parsed.pieces
    ]
    return Pieces(pieces, parsed.answer)


class _NotCanonicalError(Exception):
    """The bytes differ from the form that ``write_updates`` writes; they may still be valid."""


def _read(message: bytes) -> Pieces:
    view, pieces, answer = memoryview(message), [], False
    at, end = 0, len(message)
    while at < end:
        tag = message[at]
        value, at = _varint(message, at + 1)
        if tag == _PIECES:
            if at + value > end:
                raise _NotCanonicalError
            pieces.append(_read_piece(message, view, at, at + value))
            _check_number(len(pieces))
            at += value
        elif tag == _ANSWER:
            answer = value != 0
        else:
            raise _NotCanonicalError
    return Pieces(pieces, answer)


def _read_piece(message: bytes, view: memoryview, at: int, end: int) -> Piece:
    """Parse the piece between two positions."""
    header, offset = None, 0
    data: memoryview | bytes | None = None
    if at < end and message[at] == _HEADER:
        length, at = _varint(message, at + 1)
        if at + length > end:
            raise _NotCanonicalError
        header = pb.UpdateHeader.FromString(message[at : at + length])
        at += length
    if at < end and message[at] == _CHUNK:
        length, at = _varint(message, at + 1)
        if at + length != end:
            raise _NotCanonicalError
        if at < end and message[at] == _OFFSET:
            offset, at = _varint(message, at + 1)
        if at < end and message[at] == _DATA:
            length, at = _varint(message, at + 1)
            if at + length != end:
                raise _NotCanonicalError
            data, at = view[at:end], end
        else:
            data = b""
    if at != end:
        raise _NotCanonicalError
    return Piece(header, offset, data)


def _check_number(pieces: int) -> None:
    if pieces > UPDATES_AT_ONCE:
        raise Malformed("TOO_MANY_UPDATES", f"more than {UPDATES_AT_ONCE} pieces in one message")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Parse a varint; return its value and the position after it."""
    value = message[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for number in range(1, _LONGEST_VARINT):
        byte = message[at + number]
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            return value, at + number + 1
    raise _NotCanonicalError


def _field(tag: int, value: int) -> bytes:
    """Serialise a field's tag and a varint: the field's value, or the length of its bytes."""
    written = bytearray([tag])
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
