import pytest
import torch

from fedsiege import attacks, models
from fedsiege.attacks import Broadcast
from fedsiege.errors import InvalidValue


@pytest.mark.usefixtures("tiny")
def test_every_fake_goes_for_its_own_base_model(hear):
    """The tiny base model of participant i is (i, i, i)."""
    updates = attacks.create("mpaf-spread", scale=2.0).craft(hear([1.0, 0.0, -1.0]), [4, 7])
    assert updates.tolist() == [[6.0, 8.0, 10.0], [12.0, 14.0, 16.0]]


@pytest.mark.usefixtures("tiny")
def test_noise_has_a_length_relative_to_the_update(hear):
    broadcast = hear([0.0, 3.0, 0.5])
    plain = attacks.create("mpaf", scale=10.0).craft(broadcast, [1, 2])
    assert plain[0].norm() == pytest.approx(50)
    attack = attacks.create("mpaf-spread", scale=10.0, own_base=False, noise=0.2)
    noise = attack.craft(broadcast, [1, 2]) - plain
    assert noise.norm(dim=1).tolist() == pytest.approx([10.0, 10.0], rel=1e-5)


@pytest.mark.usefixtures("tiny")
def test_noise_is_drawn_by_every_fake_in_every_round(hear):
    attack = attacks.create("mpaf-spread", own_base=False, noise=1.0)
    rows = [
        row
        for round_number in (1, 2)
        for row in attack.craft(hear([0.0, 3.0, 0.5], round_number=round_number), [1, 2])
    ]
    distances = torch.cdist(torch.stack(rows), torch.stack(rows)) + 10 * torch.eye(4)
    assert distances.min() > 0.01


def test_base_models_of_their_own_differ_and_stay_through_the_run():
    start = models.random_weights("net", 5)
    attack = attacks.create("mpaf-spread")
    first = start + attack.craft(Broadcast(1, start, None, "net", 5), range(4))
    later = start / 2 + attack.craft(Broadcast(9, start / 2, start, "net", 5), range(4))
    shared = start + attacks.create("mpaf").craft(Broadcast(1, start, None, "net", 5), [0])
    torch.testing.assert_close(first, later, rtol=0, atol=1e-6)
    aims = torch.cat([first, shared, start[None]])
    assert (torch.cdist(aims, aims) + 10 * torch.eye(6)).min() > 1


@pytest.mark.usefixtures("tiny")
def test_at_its_base_model_a_fake_with_noise_stands_still(hear):
    attack = attacks.create("mpaf-spread", noise=1.0)
    assert attack.craft(hear([4.0, 4.0, 4.0]), [4]).tolist() == [[0.0, 0.0, 0.0]]


def test_fakes_that_nothing_tells_apart_are_refused():
    with pytest.raises(InvalidValue, match="use mpaf"):
        attacks.parse("mpaf-spread:own_base=no")


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_noise_must_be_finite_and_not_negative(noise):
    with pytest.raises(InvalidValue, match="0 or more"):
        attacks.create("mpaf-spread", noise=noise)
