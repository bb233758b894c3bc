"""Helpers for rounds in which every participant sends the same update."""

import grpc
import numpy as np

from fedsiege.v1 import aggregator_pb2 as pb

Code = grpc.StatusCode
PATIENCE = 15


def ones(federation, value: float = 1e-3) -> np.ndarray:
    return np.full(federation.size, value, np.float32)


async def play(federation, round_number: int, count: int) -> pb.AccuracyEntry:
    """Run one round in which every participant sends the same update."""
    await federation.open(round_number)
    for index in range(count):
        await federation.submit(index, ones(federation), round_number)
    return await federation.closed(round_number)


async def small(federation, count: int = 2):
    await federation.enroll(count)
    return federation


async def awaited(call):
    return await call


def listing(federation, **fields: object) -> pb.ListParticipantsRequest:
    return pb.ListParticipantsRequest(federation_id=federation.id, **fields)
