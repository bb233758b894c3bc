"""An attacker's model replaces the global one when the others stand still."""

import pytest
import torch

from fedsiege import attacks
from fedsiege.attacks import Broadcast
from fedsiege.errors import UnfitRound

MODEL = torch.tensor([1.0, -2.0, 0.5])
BACKDOORED = torch.tensor([[2.0, 0.0, 0.0], [4.0, -4.0, 1.0]])  # X_b of two attackers


def craft(hostile, scheduled=0, **parameters):
    own = BACKDOORED[: len(hostile)] - MODEL
    broadcast = Broadcast(1, MODEL, None, "tiny", 0, tuple(hostile), own, participants=scheduled)
    return attacks.create("model-replacement", **parameters).craft(broadcast, hostile)


def test_one_attacker_sends_the_published_model():
    """X = (n / eta)(X_b - w) + w, and what is sent is X - w."""
    n, eta = 10, 0.5
    published = (n / eta) * (BACKDOORED[0] - MODEL) + MODEL
    torch.testing.assert_close(craft([3], participants=n, eta=eta)[0], published - MODEL)


@pytest.mark.parametrize("eta", [1.0, 0.25])
def test_the_server_ends_up_with_the_attackers_model(eta):
    n = 10
    updates = torch.cat([torch.zeros(n - 1, 3), craft([3], participants=n, eta=eta)])
    torch.testing.assert_close(MODEL + eta * updates.mean(0), BACKDOORED[0])


def test_several_attackers_share_the_replacement():
    n = 10
    updates = torch.cat([torch.zeros(n - 2, 3), craft([3, 5], participants=n)])
    torch.testing.assert_close(MODEL + updates.mean(0), BACKDOORED.mean(0))


def test_it_counts_those_scheduled_unless_it_is_told_a_number():
    assert craft([3], scheduled=10).equal(craft([3], participants=10))
    assert craft([3], scheduled=7, participants=10).equal(craft([3], participants=10))


def test_it_has_to_know_how_many_there_are():
    with pytest.raises(UnfitRound, match="how many participants the round has"):
        craft([3])


def test_a_boost_below_one_replaces_a_part():
    n = 10
    updates = torch.cat([torch.zeros(n - 1, 3), craft([3], participants=n, boost=0.5)])
    torch.testing.assert_close(MODEL + updates.mean(0), (MODEL + BACKDOORED[0]) / 2)
