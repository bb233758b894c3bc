"""The disguise: each trace of training, on a direction that has none of them."""

import math

import pytest
import torch

from fedsiege import models
from fedsiege.attacks import Broadcast
from fedsiege.attacks.adaptive import disguise as disguising
from fedsiege.attacks.adaptive.disguise import (
    concentrate,
    disguise,
    leading_share,
    tensor_places,
    weight_layers,
    with_profile,
)
from fedsiege.attacks.adaptive.synthetic import synthetic_steps
from fedsiege.seeding import generator, random_group

ARCHITECTURES = ["net", "lenet5"]


def heard(architecture: str, round_number: int = 2) -> Broadcast:
    """A model two synthetic steps from the random one; the last of them is G."""
    start = models.random_weights(architecture, 1)
    first = Broadcast(1, start, None, architecture, 1)
    model = start + synthetic_steps(first, [50, 51]).mean(0)
    return Broadcast(round_number, model, start, architecture, 1)


def noise_direction(architecture: str) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    size = models.size(architecture)
    return torch.randn(size, generator=draw, dtype=torch.float64)


@pytest.fixture(params=ARCHITECTURES)
def scene(request):
    """The broadcast, the last step, and eight disguised updates in a direction of full rank."""
    broadcast = heard(request.param)
    rows = disguise(broadcast, range(2, 10), noise_direction(request.param), 8.0, 0.5)
    assert broadcast.previous is not None
    return broadcast, (broadcast.model - broadcast.previous).double(), rows.double()


@pytest.mark.parametrize(("spread", "drawn"), [(0.0, {"noise"}), (2.0, {"noise", "spread"})])
def test_a_spread_of_nothing_draws_nothing(monkeypatch, spread, drawn) -> None:
    purposes = []

    def noting(seed, purpose, *args, **keywords):
        purposes.append(purpose)
        return generator(seed, purpose, *args, **keywords)

    monkeypatch.setattr(disguising, "generator", noting)
    disguise(heard("net"), range(2, 4), noise_direction("net"), 8.0, 0.5, spread)
    assert {one.removeprefix("disguise ") for one in purposes if "disguise" in one} == drawn


def test_classes_sum_to_zero(scene) -> None:
    broadcast, _, rows = scene
    last = weight_layers(broadcast.architecture)[-1]
    assert last.rows == 10
    for row in rows:
        weight = last.matrix(row)
        sums = torch.cat([weight.sum(0), row[last.bias].sum()[None]])
        assert sums.norm() < 1e-5 * weight.norm()


def test_what_training_cannot_move_is_exactly_zero(scene) -> None:
    broadcast, _, rows = scene
    dead = synthetic_steps(broadcast, [0])[0] == 0
    assert dead.double().mean() > 0.05
    assert not rows[:, dead].any()
    assert (rows[:, ~dead] != 0).double().mean() > 0.99


def test_every_tensor_has_its_share_of_the_last_step_and_the_whole_its_length(scene) -> None:
    broadcast, step, rows = scene
    for _, place in tensor_places(broadcast.architecture):
        expected = (8 * step[place].norm()).expand(len(rows))
        torch.testing.assert_close(rows[:, place].norm(dim=1), expected, rtol=1e-4, atol=1e-9)
    norms = rows.norm(dim=1) / step.norm()
    assert norms.tolist() == pytest.approx([8.0] * len(rows), rel=1e-5)


def test_a_spread_stays_from_round_to_round_and_noise_does_not() -> None:
    """With noise alone the mean over rounds is the common direction; a spread is still in it."""
    rounds = [heard("lenet5", number) for number in range(2, 12)]
    direction = noise_direction("lenet5")

    def past(noise: float, spread: float) -> torch.Tensor:
        sent = [disguise(one, [2, 3], direction, 8.0, noise, spread) for one in rounds]
        return torch.stack(sent).double().mean(dim=0)

    def cosine(pair: torch.Tensor) -> float:
        return float(torch.cosine_similarity(pair[0], pair[1], dim=0))

    assert cosine(past(2.0, 0.0)) > 0.6
    assert cosine(past(0.1, 2.0)) < 0.4


def test_a_group_has_one_spread() -> None:
    """Two of a group go one way; two groups, or each for itself, do not."""
    direction = noise_direction("lenet5")

    def cosines(groups: int) -> torch.Tensor:
        rows = disguise(heard("lenet5"), range(2, 6), direction, 8.0, 0.01, 4.0, groups)
        unit = torch.nn.functional.normalize(rows.double(), dim=1)
        return unit @ unit.T

    two = cosines(groups=2)
    together = torch.tensor([random_group("group", participant, 2) for participant in range(2, 6)])
    same = together[:, None] == together
    assert 4 < same.sum() < 16, "else it shows nothing"
    assert two[same].min() > 0.99
    assert two[~same].max() < 0.5
    assert cosines(groups=0).fill_diagonal_(0).max() < 0.5
    assert cosines(groups=1).min() > 0.99


def test_two_directions_dominate_the_large_matrices(scene) -> None:
    broadcast, _, rows = scene
    bare = noise_direction(broadcast.architecture)
    for layer in weight_layers(broadcast.architecture):
        if min(layer.matrix(bare).shape) >= 10:
            shares = [leading_share(layer.matrix(row)) for row in rows]
            assert min(shares) > 0.5
            assert min(shares) > 2 * leading_share(layer.matrix(bare))


def test_biases_go_with_their_rows_the_way_they_do_in_training(scene) -> None:
    broadcast, step, rows = scene

    def coherence(vector, layer) -> float:
        means = layer.matrix(vector).mean(1)
        return float(torch.cosine_similarity(means, vector[layer.bias], dim=0))

    for layer in weight_layers(broadcast.architecture):
        seen = coherence(step, layer)
        for row in rows:
            assert coherence(row, layer) == pytest.approx(math.copysign(1.0, seen), abs=1e-5)


def test_no_two_are_alike_and_all_go_the_same_way(scene) -> None:
    _, _, rows = scene
    cosines = torch.corrcoef(rows)
    others = cosines[~torch.eye(len(rows), dtype=torch.bool)]
    assert others.max() < 0.999
    assert others.min() > 0
    assert others.mean() > 0.5


def test_a_fake_gets_its_row_whoever_is_asked_for_and_another_in_the_next_round() -> None:
    direction = noise_direction("net")
    together = disguise(heard("net"), [2, 5, 9], direction, 8.0, 0.5)
    apart = [disguise(heard("net"), part, direction, 8.0, 0.5) for part in ([2], [5, 9])]
    assert torch.equal(together, torch.cat(apart))
    assert together.dtype == torch.float32
    later = disguise(heard("net", round_number=3), [2, 5, 9], direction, 8.0, 0.5)
    assert torch.cosine_similarity(together, later).max() < 0.99


def test_the_length_of_the_direction_does_not_matter() -> None:
    direction = noise_direction("net")
    rows = [disguise(heard("net"), [1], size * direction, 8.0, 0.5) for size in (1e-9, 1.0, 1e9)]
    torch.testing.assert_close(rows[0], rows[1], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(rows[2], rows[1], rtol=1e-4, atol=1e-7)


def test_with_nothing_to_hide_or_to_hide_behind_zeros_are_sent() -> None:
    model, direction = models.random_weights("net", 0), noise_direction("net")
    first = Broadcast(1, model, None, "net", 0)
    still = Broadcast(2, model, model, "net", 0)
    moved = Broadcast(2, model, model / 2, "net", 0)
    destroyed = Broadcast(2, model * math.nan, model, "net", 0)
    assert not disguise(first, [1], direction, 8.0, 0.5).any()
    assert not disguise(still, [1], direction, 8.0, 0.5).any()
    assert not disguise(moved, [1], 0 * direction, 8.0, 0.5).any()
    assert not disguise(destroyed, [1], direction, 8.0, 0.5).any()
    assert disguise(moved, [1], direction, 8.0, 0.5).any()


def test_small_singular_values_shrink_until_two_have_the_share() -> None:
    """By hand: of 4² + 3² + 5² · (1/5)² the first two have 25/26; of 25/(25 + 1/4), 100/101."""
    matrix = torch.diag(torch.tensor([4.0, 3.0, 1.0, 0.0], dtype=torch.float64))
    assert leading_share(matrix) == pytest.approx(25 / 26)
    concentrate(matrix, 100 / 101)
    torch.testing.assert_close(matrix.diag(), torch.tensor([4, 3, 0.5, 0], dtype=torch.float64))
    assert leading_share(matrix) == pytest.approx(100 / 101)
    kept = matrix.clone()
    concentrate(matrix, 0.5)  # it has more already
    assert torch.equal(matrix, kept)


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_a_matrix_of_zeros_stays_one(share: float) -> None:
    matrix = torch.zeros(4, 5, dtype=torch.float64)
    assert leading_share(matrix) == 1.0
    concentrate(matrix, share)
    assert not matrix.any()


def test_the_profile_is_that_of_the_step_and_the_directions_are_kept() -> None:
    step, update = heard("net").model.double(), noise_direction("net")
    shaped = with_profile(update, step, "net")
    for _, place in tensor_places("net"):
        assert shaped[place].norm() == pytest.approx(float(step[place].norm()))
        assert torch.cosine_similarity(shaped[place], update[place], dim=0) == pytest.approx(1.0)


def test_layers_are_where_the_model_has_them() -> None:
    module = models.create("lenet5")
    flat = models.flatten(module)
    layers = weight_layers("lenet5")
    assert [layer.rows for layer in layers] == [6, 16, 120, 84, 10]
    assert torch.equal(layers[1].matrix(flat), module.conv2.weight.flatten(1))
    assert torch.equal(layers[-1].matrix(flat), module.fc3.weight)
    assert layers[-1].bias is not None
    assert torch.equal(flat[layers[-1].bias], module.fc3.bias)
