"""Tests of retries after lost connections, and of options that channel and server share."""

import itertools

import grpc

from fedsiege.services.rpc import channel
from tests.cases import each


@each(
    ("code", "heals"),
    [(code, code.name in ("UNAVAILABLE", "CANCELLED")) for code in grpc.StatusCode],
)
def test_only_lost_connections_are_retried(code, heals):
    assert (code in channel.TRANSIENT) == heals


def test_keepalive_of_channel_and_server_agree():
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
