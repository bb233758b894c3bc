"""Fixtures: a running client or attacker worker, with services that the test controls."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from fedsiege.services import retry
from fedsiege.services.identity.identity import Identity
from fedsiege.services.worker import submitting, worker
from fedsiege.v1 import simulator_pb2 as pb
from tests.services.worker.stage import Scene, at_work


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Remove the pauses between a worker's attempts."""
    attempts = partial(retry.attempts, 0.001, 0.01)
    monkeypatch.setattr(worker, "attempts", attempts)
    monkeypatch.setattr(submitting, "attempts", attempts)


@pytest_asyncio.fixture
async def scene(serve, impatient) -> AsyncIterator[Scene]:
    """A running client worker."""
    async with at_work(Scene(serve)) as scene:
        yield scene


@pytest_asyncio.fixture
async def attackers(serve, impatient) -> AsyncIterator[Scene]:
    """A running attacker worker with three tokens."""
    scene = Scene(serve)
    scene.hello.kind = pb.WORKER_KIND_ATTACKER
    async with at_work(scene, Identity("w1", tokens=("t0", "t1", "t2"))) as scene:
        yield scene
