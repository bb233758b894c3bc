import pytest
import torch

from fedsiege import attacks, models
from fedsiege.attacks import Broadcast
from fedsiege.errors import InvalidValue, MissingData


@pytest.mark.usefixtures("tiny")
def test_the_update_is_lambda_times_the_way_to_the_base_model(hear):
    updates = attacks.create("mpaf", scale=2.0).craft(hear([1.0, 1.0, 1.0]), [4, 7])
    assert updates.tolist() == [[4.0, -4.0, -1.0]] * 2


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("fakes", "scale", "factor"),
    [
        (2, 1.0, 0.8),
        (1, 1.0, 0.9),
        (2, 3.0, 0.4),
        (2, 5.0, 0.0),
        (2, 10.0, -1.0),
        (2, 15.0, -2.0),
    ],
)
def test_the_gap_shrinks_by_one_minus_p_lambda_a_round(fakes, scale, factor, hear):
    """Ten participants under FedAvg, the honest ones stand still; above p lambda = 2 it grows."""
    base = torch.tensor([3.0, -1.0, 0.5])
    model = torch.tensor([1.0, 2.0, -4.0])
    updates = torch.zeros(10, 3)
    for round_number in range(1, 6):
        gap = base - model
        broadcast = hear(model.tolist(), round_number=round_number)
        updates[:fakes] = attacks.create("mpaf", scale=scale).craft(broadcast, range(fakes))
        model = model + updates.mean(dim=0)
        torch.testing.assert_close(base - model, factor * gap, rtol=1e-4, atol=1e-5)


def aim(broadcast: Broadcast, participant: int = 0) -> torch.Tensor:
    """Return the base model that an update of strength 1 points at."""
    return broadcast.model + attacks.create("mpaf").craft(broadcast, [participant])[0]


def test_the_base_model_is_one_for_all_fakes_and_rounds_of_a_run():
    start = models.random_weights("net", 5)
    first = Broadcast(1, start, None, "net", 5)
    later = Broadcast(7, start / 2, start, "net", 5)
    torch.testing.assert_close(aim(first, 1), aim(first, 99), rtol=0, atol=0)
    torch.testing.assert_close(aim(first), aim(later), rtol=0, atol=1e-6)


def test_the_base_model_is_not_where_a_random_run_begins():
    start = models.random_weights("net", 5)
    target = aim(Broadcast(1, start, None, "net", 5))
    assert (target - start).norm() > 1


def test_the_base_model_is_an_initialisation_of_the_architecture_and_comes_from_the_seed():
    start = models.random_weights("net", 5)
    target = aim(Broadcast(1, start, None, "net", 5))
    assert target.norm() == pytest.approx(start.norm().item(), rel=0.05)
    other = aim(Broadcast(1, start, None, "net", 6))
    assert (target - other).norm() > 1


def test_a_checkpoint_can_be_the_base_model(tmp_path):
    weights = models.random_weights("net", 3)
    path = tmp_path / "base.safetensors"
    models.write_checkpoint(path, "net", weights, {})
    start = torch.zeros_like(weights)
    update = attacks.parse(f"mpaf:base={path}").craft(Broadcast(1, start, None, "net", 0), [0])
    assert torch.equal(update[0], weights)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path):
    start = models.random_weights("net", 3)
    attack = attacks.create("mpaf", base=str(tmp_path / "absent.safetensors"))
    with pytest.raises(MissingData, match=r"absent\.safetensors"):
        attack.craft(Broadcast(1, start, None, "net", 0), [0])


def test_an_empty_base_is_refused():
    with pytest.raises(InvalidValue, match="path of a checkpoint"):
        attacks.create("mpaf", base="")


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "lenet5.safetensors"
    models.write_checkpoint(path, "lenet5", models.random_weights("lenet5", 3), {})
    start = models.random_weights("net", 3)
    with pytest.raises(InvalidValue, match="net has"):
        attacks.create("mpaf", base=str(path)).craft(Broadcast(1, start, None, "net", 0), [0])
