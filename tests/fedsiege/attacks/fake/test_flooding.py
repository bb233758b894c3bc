"""Flooding: MPAF by identities that come one after the other and share nothing but the target."""

import pytest
import torch

from fedsiege import attacks
from fedsiege.errors import InvalidValue

pytestmark = pytest.mark.usefixtures("tiny")


def test_identities_share_the_target_and_add_noise_of_their_own(hear) -> None:
    broadcast = hear([0.0, 3.0, 0.5])
    plain = attacks.create("mpaf", scale=10.0).craft(broadcast, [1])  # of norm 50
    rows = attacks.create("flooding", scale=10.0, noise=0.2).craft(broadcast, [1, 21, 41])
    noise = rows - plain
    assert noise.norm(dim=1).tolist() == pytest.approx([10.0] * 3, rel=1e-5)
    cosines = torch.cosine_similarity(noise[:, None], noise, dim=2)
    assert (cosines - torch.eye(3)).max() < 0.999


def test_with_base_models_of_their_own_each_identity_goes_for_its_own(hear) -> None:
    """The tiny base model of identity a is (a, a, a)."""
    attack = attacks.create("flooding", own_base=True, noise=0.0)
    assert attack.craft(hear([1.0, 0.0, -1.0]), [4, 17]).tolist() == [[3, 4, 5], [16, 17, 18]]


def test_it_says_how_many_identities_each_participant_holds() -> None:
    assert attacks.parse("flooding:identities=3").aliases == 3


def test_identities_that_nothing_tells_apart_are_refused() -> None:
    with pytest.raises(InvalidValue, match="use mpaf") as caught:
        attacks.create("flooding", noise=0.0)
    assert caught.value.name == "flooding:noise"
