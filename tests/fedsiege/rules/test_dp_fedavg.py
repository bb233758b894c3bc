"""Central differential privacy: a fixed denominator, noise on the sum, and its budget."""

import pytest
import torch

from fedsiege import privacy
from fedsiege.rules import DpFedAvg, RoundContext, parse

UPDATES = torch.tensor([[3.0, 4.0], [0.0, 0.5]])


def test_the_clipped_sum_over_a_fixed_number_by_hand() -> None:
    rule = DpFedAvg(clip=1.0, noise=0.0, participants=4)
    assert rule(UPDATES).update.tolist() == pytest.approx([0.6 / 4, 1.3 / 4])
    assert DpFedAvg(noise=0.0)(UPDATES).update.tolist() == pytest.approx([0.3, 0.65])


def test_one_participant_moves_the_sum_by_its_clipped_update_and_no_more() -> None:
    """Else the noise would not be calibrated: an unusable row, or a row less, changes no other."""
    rule = DpFedAvg(clip=1.0, noise=0.0, participants=10)
    updates = torch.randn(10, 30, generator=torch.Generator().manual_seed(0)) * 100
    whole = rule(updates).update
    spoilt = updates.clone()
    spoilt[3, 0] = torch.nan
    for others in (rule(updates[torch.arange(10) != 3]).update, rule(spoilt).update):
        assert (whole - others).norm().item() == pytest.approx(1 / 10, rel=1e-5)


def test_the_noise_is_on_the_sum_and_drawn_by_seed_and_round() -> None:
    rule = DpFedAvg(clip=2.0, noise=3.0, participants=50)

    def noise(seed: int, number: int, n: int = 5) -> torch.Tensor:
        context = RoundContext(seed=seed, round_number=number)
        return rule(torch.zeros(n, 20_000), context=context).update

    assert noise(1, 2).std().item() == pytest.approx(2 * 3 / 50, rel=0.03)
    assert torch.equal(noise(1, 2), noise(1, 2, n=9))
    assert not torch.equal(noise(1, 2), noise(1, 3))


def test_what_it_gives_away() -> None:
    """Replacing a participant moves the sum by up to two clips."""
    assert DpFedAvg(noise=3.0, participants=9, delta=1e-6).release == privacy.Release(1.5, 1e-6)
    assert DpFedAvg(noise=0.0, participants=9).release is None
    assert DpFedAvg().release is None, "divided by the number that came"
    assert DpFedAvg().for_participants(7).release == privacy.Release(0.5, 1e-5)
    assert parse("nnm/dp-fedavg:participants=9").release is None, "nnm mixes rows"
    assert parse("median").release is None
