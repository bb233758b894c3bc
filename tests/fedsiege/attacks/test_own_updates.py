"""Attacks that compute with one's own update: sign flip, scaling, Gaussian noise."""

import pytest
import torch

from fedsiege import attacks
from fedsiege.training.base import Shard

OWN = [[1.0, -2.0], [3.0, 0.5]]
BENIGN = [[2.0, 2.0], [4.0, 0.0]]


def test_sign_flip_of_ones_own_update(tell):
    crafted = attacks.parse("sign-flip:scale=2").craft(tell(OWN), [1, 4])
    assert crafted.tolist() == [[-2.0, 4.0], [-6.0, -1.0]]


def test_sign_flip_of_the_mean_is_another_attack(tell):
    partial = attacks.parse("sign-flip:form=mean").craft(tell(OWN), [1, 4])
    assert partial.tolist() == [[-2.0, 0.75]] * 2
    full = attacks.parse("sign-flip:form=mean,scale=2,knowledge=full").craft(tell(OWN, BENIGN), [4])
    assert full.tolist() == [[-6.0, -2.0]]


def test_sign_flip_of_gradients_is_the_third(tell):
    """Samples stay as they are, gradients are multiplied by -1, and what comes of it is sent."""
    attack = attacks.parse("sign-flip-gradient")
    shard = Shard(torch.rand(3, 1, 2, 2), torch.tensor([0, 1, 2]))
    assert isinstance(attack, attacks.PoisoningAttack)
    assert attack.poison(shard, 1, seed=0) is shard
    told = tell(OWN)
    assert attack.gradient_factor(told).tolist() == [-1.0, -1.0]
    assert attack.craft(told, [4]).tolist() == [OWN[1]]


def test_scaling(tell):
    crafted = attacks.parse("scaling:factor=4").craft(tell(OWN), [4])
    assert crafted.tolist() == [[12.0, 2.0]]


def test_gaussian_noise_replaces_the_update(tell):
    told = tell(torch.full((2, 50_000), 1e6))
    crafted = attacks.parse("gaussian:sigma=3").craft(told, [1, 4])
    assert crafted.mean(dim=1).tolist() == pytest.approx([0, 0], abs=0.06)
    assert crafted.std(dim=1).tolist() == pytest.approx([3, 3], rel=0.02)


def test_published_gaussian_noise_has_a_deviation_of_200(tell):
    crafted = attacks.parse("gaussian").craft(tell(torch.zeros(1, 50_000)), [1])
    assert float(crafted.std()) == pytest.approx(200, rel=0.02)


def test_gaussian_noise_on_top_is_that_which_replaces(tell):
    told = tell(OWN)
    noise = attacks.parse("gaussian:sigma=3").craft(told, [1, 4])
    added = attacks.parse("gaussian:form=add,sigma=3").craft(told, [1, 4])
    torch.testing.assert_close(added - noise, torch.tensor(OWN))


def test_fitted_gaussian_noise_has_mean_and_deviation_of_each_coordinate(tell):
    """Columns of -1, 1 and of 8, 12: means 0 and 10, sample deviations sqrt(2) and sqrt(8)."""
    d = 50_000
    own = torch.tensor([[-1.0, 8.0], [1.0, 12.0]]).repeat_interleave(d, dim=1)
    crafted = attacks.parse("gaussian:form=fitted").craft(tell(own), [1])[0]
    assert float(crafted[:d].mean()) == pytest.approx(0, abs=0.03)
    assert float(crafted[d:].mean()) == pytest.approx(10, abs=0.06)
    assert float(crafted[:d].std()) == pytest.approx(2**0.5, rel=0.02)
    assert float(crafted[d:].std()) == pytest.approx(8**0.5, rel=0.02)


@pytest.mark.parametrize("form", ["replace", "add", "fitted"])
def test_every_participant_draws_afresh_in_every_round(form, tell):
    attack = attacks.create("gaussian", form=form)
    first = attack.craft(tell(OWN), [1, 4])
    later = attack.craft(tell(OWN, round_number=2), [1, 4])
    assert len({tuple(row) for row in (*first.tolist(), *later.tolist())}) == 4
