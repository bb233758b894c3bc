"""How long a peer is waited for, and what both ends of a line agree on."""

import asyncio
import itertools

import grpc
import pytest

from services.rpc import channel


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
    async for number in channel.attempts(first, longest):
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
        async for number in channel.attempts():
            if number == 10:
                break
    assert pauses[:10] != pauses[10:]


@pytest.mark.parametrize(
    ("code", "heals"),
    [(code, code.name in ("UNAVAILABLE", "CANCELLED")) for code in grpc.StatusCode],
)
def test_only_a_broken_line_heals_by_itself(code, heals):
    assert (code in channel.TRANSIENT) == heals


def test_both_ends_agree():
    client, server = dict(channel.CHANNEL_OPTIONS), dict(channel.SERVER_OPTIONS)
    # A server hangs up on who pings more often than this.
    assert (
        client["grpc.keepalive_time_ms"]
        >= (server["grpc.http2.min_recv_ping_interval_without_data_ms"])
    )
    assert server["grpc.keepalive_permit_without_calls"] == 1
    for options in (client, server):
        assert not any("max_receive_message_length" in key for key in options), "4 MiB stays"
    assert len(client) == len(channel.CHANNEL_OPTIONS), "an option stands twice"
    assert len(server) == len(channel.SERVER_OPTIONS), "an option stands twice"
    assert all(
        isinstance(value, int) for value in itertools.chain(client.values(), server.values())
    )
