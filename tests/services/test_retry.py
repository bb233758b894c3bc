"""Pauses between attempts."""

import asyncio

import pytest

from fedsiege.services.retry import attempts


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """Record what would have been slept."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


@pytest.mark.parametrize(("first", "longest"), [(0.1, 3.0), (0.5, 0.5), (1e-3, 1e3)])
async def test_pauses_double_up_to_the_longest_within_their_jitter(pauses, first, longest):
    numbers = []
    async for number in attempts(first, longest):
        numbers.append(number)
        if number == 240:
            break
    assert numbers == list(range(241))
    assert len(pauses) == 240, "the first attempt does not wait"
    for number, pause in enumerate(pauses):
        mean = min(longest, first * 2**number)
        assert 0.5 * mean <= pause <= 1.5 * mean
    late = pauses[-200:]
    assert len(set(late)) == len(late), "fifty workers must not knock in step"
    assert min(late) < 0.8 * longest
    assert max(late) > 1.2 * longest


async def test_workers_do_not_wait_alike(pauses):
    for _ in range(2):
        async for number in attempts():
            if number == 10:
                break
    assert pauses[:10] != pauses[10:]
