"""Tests that SubmitUpdates messages are written and read as protobuf's own class does."""

import random

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from fedsiege.services.errors import Malformed
from fedsiege.services.rpc import pieces
from fedsiege.services.rpc.pieces import Pieces, read_pieces, write_updates
from fedsiege.services.rpc.tensors import checksum
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2

Chunk = tensors_pb2.TensorChunk


def plain(found: Pieces) -> tuple:
    """Return the pieces as values that can be compared."""
    return found.answer, [
        (one.header, one.offset, None if one.data is None else bytes(one.data))
        for one in found.pieces
    ]


def by_protobuf(message: bytes) -> tuple:
    parsed = pb.SubmitUpdatesRequest.FromString(message)
    return parsed.answer, [
        (
            piece.header if piece.HasField("header") else None,
            piece.chunk.offset,
            piece.chunk.data if piece.HasField("chunk") else None,
        )
        for piece in parsed.pieces
    ]


def header(index: int) -> pb.UpdateHeader:
    return pb.UpdateHeader(
        federation_id="f", round=3, participant_index=index, credential=bytes(32)
    )


def test_messages_equal_those_of_protobuf(monkeypatch):
    rng = np.random.default_rng(0)
    for size, chunk in ((1, 4), (5, 8), (7, 8), (300, 512), (100_000, 1 << 20)):
        monkeypatch.setattr(pieces, "CHUNK_BYTES", chunk)
        for count in (1, 2, 3):
            updates = [rng.normal(size=size).astype(np.float32) for _ in range(count)]
            written = list(write_updates((header(i), one) for i, one in enumerate(updates)))
            messages = [pb.SubmitUpdatesRequest.FromString(one) for one in written]
            for message, data in zip(messages, written, strict=True):
                assert message.SerializeToString() == data, "the very bytes of protobuf"
            case = f"{count} updates of {size} in chunks of {chunk}"
            assert [one.answer for one in messages] == [False] * (len(messages) - 1) + [True], case
            cut = [piece for one in messages for piece in one.pieces]
            starts = [n for n, piece in enumerate(cut) if piece.HasField("header")]
            assert len(starts) == count, case
            for index, start in enumerate(starts):
                own = cut[start : [*starts, len(cut)][index + 1]]
                data = updates[index].tobytes()
                assert own[0].header.participant_index == index
                assert list(own[0].header.shape) == [size]
                assert own[0].header.checksum == checksum(data)
                assert own[0].header.data_type == tensors_pb2.DATA_TYPE_FLOAT32
                assert b"".join(piece.chunk.data for piece in own) == data, case
                assert [piece.chunk.offset for piece in own] == list(range(0, 4 * size, chunk))
                assert all(len(piece.chunk.data) == chunk for piece in own[:-1]), case
            for message in messages:
                sizes = [len(piece.chunk.data) for piece in message.pieces]
                assert sum(sizes) <= chunk or len(sizes) == 1, case


def test_the_data_of_a_piece_is_a_view_of_the_message():
    (message,) = write_updates([(header(0), np.arange(50_000, dtype=np.float32))])
    (piece,) = read_pieces(message).pieces
    assert isinstance(piece.data, memoryview)
    assert piece.data.obj is message


#: Protobuf takes all of these; what they mean is its to say.
UNUSUAL = {
    "nothing": b"",
    "an empty piece": b"\x0a\x00",
    "an empty header and an empty chunk": b"\x0a\x04\x0a\x00\x12\x00",
    "a chunk before its header": b"\x0a\x04\x12\x00\x0a\x00",
    "two headers": b"\x0a\x08\x0a\x02\x10\x05\x0a\x02\x18\x07",
    "two chunks": b"\x0a\x0a\x12\x03\x12\x01a\x12\x03\x12\x01b",
    "data before its offset": b"\x0a\x07\x12\x05\x12\x01a\x08\x04",
    "an unknown field": b"\x0a\x06\x12\x02\x08\x01\x18\x09\x38\x01",
    "an answer written twice": b"\x10\x01\x10\x00",
    "an answer that is a large number": b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    "a number with more bytes than needed": b"\x0a\x84\x00\x12\x82\x80\x00\x08\x01"[:9],
    "a group": b"\x0b\x0c\x0a\x00",
    "the greatest offset": b"\x0a\x0d\x12\x0b\x08" + b"\xff" * 9 + b"\x01",
}


def outcome(read, message: bytes):
    try:
        return read(message)
    except DecodeError:
        return "no message"


def test_unusual_encodings_are_read_as_protobuf_reads_them():
    for name, message in UNUSUAL.items():
        expected = outcome(by_protobuf, message)
        assert outcome(lambda one: plain(read_pieces(one)), message) == expected, name


def test_any_bytes_are_read_as_protobuf_reads_them():
    """Change, remove and insert bytes of valid messages."""
    draw = random.Random(0)
    rng = np.random.default_rng(0)
    updates = [rng.normal(size=size).astype(np.float32) for size in (1, 3, 40)]
    (honest,) = write_updates((header(i), one) for i, one in enumerate(updates))
    kinds = set()
    for number in range(4_000):
        message = bytearray(honest)
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.randrange(len(message))
            match draw.randrange(4):
                case 0:
                    message[at] = draw.randrange(256)
                case 1:
                    del message[at : at + draw.choice((1, 2, 50))]
                case 2:
                    message[at:at] = draw.randbytes(draw.choice((1, 2, 9)))
                case _:
                    message[at:at] = draw.choice(list(UNUSUAL.values()))
            message = message or bytearray(honest)
        sent = bytes(message)
        expected = outcome(by_protobuf, sent)
        kinds.add(isinstance(expected, tuple))
        found = outcome(lambda one: plain(read_pieces(one)), sent)
        assert repr(found) == repr(expected), f"message {number}: {sent.hex()}"
    assert kinds == {True, False}, "some are messages, some are not"


def test_too_many_pieces_are_refused_before_all_are_read():
    for message in (b"\x0a\x00" * 1_000_000, b"\x38\x01" + b"\x0a\x00" * 1_000_000):
        with pytest.raises(Malformed) as caught:
            read_pieces(message)
        assert caught.value.reason == "TOO_MANY_UPDATES"
    assert len(read_pieces(b"\x0a\x00" * 10_000).pieces) == 10_000


def test_a_chunk_without_data_is_still_a_chunk():
    message = pb.SubmitUpdatesRequest(pieces=[pb.UpdatePiece(chunk=Chunk()), pb.UpdatePiece()])
    assert [one.data for one in read_pieces(message.SerializeToString()).pieces] == [b"", None]
