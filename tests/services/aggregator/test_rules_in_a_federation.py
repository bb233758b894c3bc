"""Tests that rules get clean samples, their state of the round before, and reported steps."""

import grpc
import numpy as np
import pytest

from fedsiege.services.errors import Refusal
from tests.services.conftest import Federation


async def a_round(federation: Federation, number: int, updates: np.ndarray):
    await federation.open(number)
    for index, update in enumerate(updates):
        await federation.submit(index, update, number)
    return await federation.closed(number)


async def test_a_rule_gets_the_root_samples_it_needs(create) -> None:
    federation = await create(rule="fltrust:root=50")
    await federation.enroll(3)
    before = await federation.model()
    draw = np.random.default_rng(0)
    entry = await a_round(
        federation, 1, draw.standard_normal((3, federation.size), dtype=np.float32)
    )
    assert entry.problem == ""
    moved = np.linalg.norm(await federation.model() - before)
    assert 0 < moved < 10  # three noises of norm 114 each, cut to the length of honest training


async def test_more_root_samples_than_training_samples_are_refused(create) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(rule="fltrust:root=100000")
    assert "training samples of digits" in Refusal.of(caught.value).message


async def test_the_state_of_a_rule_follows_participants_across_rounds(create) -> None:
    federation = await create(rule="centered-clipping:tau=1,steps=1")
    await federation.enroll(3)
    before = await federation.model()
    large = np.zeros((3, federation.size), np.float32)
    large[:, 0] = 100.0
    lengths = []
    for number in (1, 2):
        await a_round(federation, number, large)
        after = await federation.model()
        lengths.append(float((after - before)[0]))
        before = after
    # It begins at 0 and goes one step of length 1 a round: the second begins where the first ended.
    assert lengths == pytest.approx([1.0, 2.0], abs=1e-5)


async def test_reported_steps_reach_the_rule(create) -> None:
    """FedNova divides by the steps: twice the steps for the same update weigh less."""
    federation = await create(rule="fednova:weighted=false,momentum=0")
    await federation.enroll(2)
    before = await federation.model()
    await federation.open(1)
    for index, steps in ((0, 1), (1, 3)):
        update = np.zeros(federation.size, np.float32)
        update[index] = 6.0
        await federation.submit(index, update, 1, num_steps=steps)
    await federation.closed(1)
    moved = (await federation.model() - before)[:2]
    assert moved[0] == pytest.approx(3 * moved[1], rel=1e-4)
