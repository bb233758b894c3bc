"""The benchmarks run the real services over real connections."""

import sys

import numpy as np
import pytest

from benchmarks import federation as ours
from benchmarks.contest import ContenderError
from benchmarks.echo import EchoParticipants
from benchmarks.processes import last_json, running


@pytest.mark.slow
def test_a_round_is_timed_from_end_to_end() -> None:
    with ours.federation(ours.ECHO, participants=6, workers=1) as federation:
        seconds = federation.round_seconds(clients=6, model="lenet5", rule="fedavg", rounds=3)
        peak = federation.peak_memory()

    assert len(seconds) == 2
    assert all(one > 0 for one in seconds)
    assert peak > 2**20


def test_a_service_that_ends_is_noticed() -> None:
    with (
        ours.federation("benchmarks.missing", participants=2, workers=1) as federation,
        pytest.raises(ContenderError, match=r"No module named benchmarks\.missing"),
    ):
        federation.round_seconds(clients=2, model="lenet5", rule="fedavg", rounds=2)


def test_an_echo_is_the_scaled_model() -> None:
    weights = np.array([1000.0, -2000.0], np.float32)

    [updates] = EchoParticipants().updates(1, weights, [3, 5])

    assert [update.index for update in updates] == [3, 5]
    for update in updates:
        np.testing.assert_allclose(update.delta, [1.0, -2.0], rtol=1e-6)
    np.testing.assert_array_equal(weights, [1000.0, -2000.0])


@pytest.mark.slow
def test_a_large_model_reaches_every_worker() -> None:
    module = [sys.executable, "-m", "benchmarks.large_model"]
    with running([*module, "serve", "--mebibytes=3"]) as server:
        address = f"127.0.0.1:{server.line('port ', timeout=30)}"
        options = [f"--address={address}", "--mebibytes=3", "--workers=2", "--pulls=2"]
        answer = last_json([*module, "pull", *options], timeout=30)

    assert len(answer["seconds"]) == 2
    assert all(seconds > 0 for seconds in answer["seconds"])
