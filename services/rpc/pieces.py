"""The messages of SubmitUpdates as bytes, written and read without copies of the numbers.

Protobuf's own classes copy the numbers of an update three times on the way out and twice on the way
in. Here they are copied once out, into the message, and not at all in: a piece that was read is a
view of the message. The bytes are those of ``SubmitUpdatesRequest``; what does not look as senders
usually write it is read by that class, so that protobuf's rules decide what it means.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2
from services.errors import Malformed
from services.rpc.tensors import CHUNK_BYTES, Floats, checksum, raw

#: Pieces in one message, and updates between two answers: an answer must fit into one message, and
#: a million empty pieces would take a server half a minute.
UPDATES_AT_ONCE = 10_000

#: Tags of the fields, ``number << 3 | wire type``: SubmitUpdatesRequest, UpdatePiece, TensorChunk.
_PIECES, _ANSWER = 0x0A, 0x10
_HEADER, _CHUNK = 0x0A, 0x12
_OFFSET, _DATA = 0x08, 0x12
#: A varint of more bytes is protobuf's to judge.
_LONGEST_VARINT = 9


class Piece(NamedTuple):
    """A piece of an update.

    Attributes:
        header: begins the next update; None if it goes on.
        offset: where the data lies in the update, in bytes.
        data: a view of the message; None where the piece has no chunk.
    """

    header: pb.UpdateHeader | None
    offset: int
    data: "memoryview | bytes | None"


class Pieces(NamedTuple):
    """The pieces of one message, and whether their sender waits for an answer."""

    pieces: list[Piece]
    answer: bool


def write_updates(updates: Iterable[tuple[pb.UpdateHeader, Floats]]) -> Iterator[bytes]:
    """Yield updates as serialised messages, each filled up to ``CHUNK_BYTES``.

    The last one asks for the answer.

    Args:
        updates: for each the header, in which type, shape and checksum are filled in here, and the
            values, ``(d,)`` contiguous.
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
    """Read a serialised ``SubmitUpdatesRequest``.

    Raises:
        DecodeError: it is none.
        Malformed: it has too many pieces.
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
    """The bytes are not as ``write_updates`` writes them; they may still be a message."""


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
    """Read the piece that lies between two positions."""
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
    """Read a number; return it and the position after it."""
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
    """Write a field's tag and number: its value, or the length of what follows."""
    written = bytearray([tag])
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
