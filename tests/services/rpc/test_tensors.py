"""Tests of tensor streams: truncated, damaged, repeated or missing chunks are refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedsiege.services.errors import Damaged, Malformed, ServiceError
from fedsiege.services.rpc import tensors
from fedsiege.services.rpc.tensors import Assembly, checksum, encode_model, manifest, raw
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import tensors_pb2

quick = settings(max_examples=40, deadline=None, derandomize=True)

LEAST = 8
Chunk = tensors_pb2.TensorChunk

#: All bit patterns: NaNs with payloads, infinities and negative zeros cross the wire unchanged.
vectors = arrays.arrays(np.uint32, st.integers(1, 60)).map(lambda bits: bits.view(np.float32))
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
layouts = st.lists(st.tuples(st.text(max_size=8), shapes), min_size=1, max_size=5)


@contextmanager
def small_chunks(size: int = LEAST) -> Iterator[None]:
    """Permit chunks of a few bytes, so that a small vector has many chunks."""
    with (
        mock.patch.object(tensors, "CHUNK_BYTES", size),
        mock.patch.object(tensors, "MIN_CHUNK_BYTES", LEAST),
    ):
        yield


def cut(data: bytes, lengths: list[int]) -> list[Chunk]:
    """Split bytes into chunks of at least LEAST bytes; the last has the rest."""
    pieces, start = [], 0
    for length in lengths:
        if start + length >= len(data):
            break
        pieces.append(Chunk(offset=start, data=data[start : start + length]))
        start += length
    return [*pieces, Chunk(offset=start, data=data[start:])]


def assembled(size: int, announced: int, chunks: list[Chunk], **fields: object) -> np.ndarray:
    with small_chunks():
        assembly = Assembly(size, announced, **fields)
        for chunk in chunks:
            assembly.add(chunk.offset, chunk.data)
        return assembly.finish()


def refusal(size: int, announced: int, chunks: list[Chunk]) -> str:
    with pytest.raises(ServiceError) as caught:
        assembled(size, announced, chunks)
    return caught.value.reason


cuts = st.lists(st.integers(LEAST, 40), max_size=12)


@quick
@given(vectors, cuts, st.booleans())
def test_chunks_of_any_lengths_give_the_same_bits(vector, lengths, has_target):
    target = np.full(vector.size, 7, np.float32) if has_target else None
    data = vector.tobytes()
    found = assembled(vector.size, checksum(data), cut(data, lengths), target=target)
    assert found.tobytes() == data
    assert found.dtype == np.float32


@quick
@given(vectors, cuts)
def test_several_chunks_are_written_to_the_target(vector, lengths):
    target = np.empty(vector.size, np.float32)
    chunks = cut(vector.tobytes(), lengths)
    found = assembled(vector.size, checksum(vector.tobytes()), chunks, target=target)
    assert np.shares_memory(found, target) == (len(chunks) > 1)


@quick
@given(vectors, cuts, st.data())
def test_any_flipped_bit_is_detected(vector, lengths, data):
    sent = vector.tobytes()
    position = data.draw(st.integers(0, 8 * len(sent) - 1))
    damaged = bytearray(sent)
    damaged[position // 8] ^= 1 << position % 8
    assert refusal(vector.size, checksum(sent), cut(bytes(damaged), lengths)) == "CHECKSUM_MISMATCH"


@quick
@given(vectors, cuts, st.data())
def test_a_stream_that_ends_early_is_truncated(vector, lengths, data):
    chunks = cut(vector.tobytes(), lengths)
    kept = data.draw(st.integers(0, len(chunks) - 1))
    with pytest.raises(Damaged, match=f"of {vector.nbytes} bytes") as caught:
        assembled(vector.size, checksum(vector.tobytes()), chunks[:kept])
    assert caught.value.reason == "TRUNCATED"


@quick
@given(vectors, cuts, st.data())
def test_a_chunk_that_comes_twice_is_refused(vector, lengths, data):
    chunks = cut(vector.tobytes(), lengths)
    again = data.draw(st.integers(0, len(chunks) - 1))
    doubled = [*chunks[: again + 1], *chunks[again:]]
    assert refusal(vector.size, checksum(vector.tobytes()), doubled) == "MALFORMED_STREAM"


@quick
@given(vectors, cuts, st.data())
def test_a_chunk_left_out_or_out_of_order_is_refused(vector, lengths, data):
    chunks = cut(vector.tobytes(), lengths)
    left_out = data.draw(st.integers(0, len(chunks) - 1))
    rest = chunks[:left_out] + chunks[left_out + 1 :]
    reason = "TRUNCATED" if left_out == len(chunks) - 1 else "MALFORMED_STREAM"
    assert refusal(vector.size, checksum(vector.tobytes()), rest) == reason


@quick
@given(vectors, cuts, st.binary(min_size=1, max_size=20))
def test_bytes_after_the_end_are_refused(vector, lengths, more):
    sent = vector.tobytes()
    chunks = [*cut(sent, lengths), Chunk(offset=len(sent), data=more)]
    assert refusal(vector.size, checksum(sent), chunks) == "TOO_MANY_BYTES"
    chunks = cut(sent, lengths)
    chunks[-1].data += more
    assert refusal(vector.size, checksum(sent), chunks) == "TOO_MANY_BYTES"


def test_a_refused_chunk_changes_nothing():
    target = np.zeros(10, np.float32)
    assembly = Assembly(10, 0, target)
    for wrong in (
        Chunk(offset=4, data=bytes(36)),
        Chunk(offset=0, data=b"\xff" * 44),
        Chunk(offset=0, data=b"\xff" * 8),
        Chunk(offset=0),
    ):
        with pytest.raises(Malformed):
            assembly.add(wrong.offset, wrong.data)
    assert assembly.filled == 0
    assert not target.any()


def test_only_the_last_chunk_may_be_small():
    vector = np.arange(100_000, dtype=np.float32)
    data, least = vector.tobytes(), tensors.MIN_CHUNK_BYTES
    assembly = Assembly(vector.size, checksum(data))
    with pytest.raises(Malformed, match=f"{least - 1} bytes; all but the last must have {least}"):
        assembly.add(0, data[: least - 1])
    end = len(data) - 4
    assembly.add(0, data[:end])
    assembly.add(end, data[end:])
    np.testing.assert_array_equal(assembly.finish(), vector)


@quick
@given(layouts)
def test_a_manifest_has_no_holes_and_no_overlaps(layout):
    size = sum(int(np.prod(shape, dtype=int)) for _, shape in layout)
    weights = np.arange(size, dtype=np.float32)
    described = manifest(layout, weights)
    end = 0
    for spec, (name, shape) in zip(described.tensors, layout, strict=True):
        assert (spec.name, tuple(spec.shape)) == (name, shape)
        assert spec.offset == end
        assert spec.byte_length == 4 * int(np.prod(shape, dtype=int))
        end += spec.byte_length
    assert described.byte_length == end == weights.nbytes
    assert described.checksum == checksum(raw(weights))


@pytest.mark.parametrize("size", [0, 5, 7, 100])
def test_a_layout_that_does_not_fit_its_model_is_an_error(size):
    with pytest.raises(ValueError, match=f"24 bytes, the model has {4 * size}"):
        manifest([("a", (2, 2)), ("b", (2,))], np.zeros(size, np.float32))


def test_model_messages_fit_a_clients_default_limit():
    weights = np.random.default_rng(0).normal(size=1_500_001).astype(np.float32)
    messages = encode_model(7, [("all", weights.shape)], weights)
    assert len(messages) == 6
    assert max(map(len, messages)) < 4 << 20
    parsed = [pb.GetModelResponse.FromString(message) for message in messages]
    assert [message.HasField("header") for message in parsed] == [True] + [False] * 5
    assert parsed[0].header.round == 7
    assembly = Assembly(weights.size, parsed[0].header.manifest.checksum)
    for message in parsed:
        assembly.add(message.chunk.offset, message.chunk.data)
    np.testing.assert_array_equal(assembly.finish(), weights)
