"""Where each adaptive fake is going, before the disguise is put on."""

import pytest
import torch

from fedsiege import models
from fedsiege.attacks import (
    AdAnti,
    AdDrift,
    AdHist,
    AdMpaf,
    AdSgn,
    AdSleep,
    AdSynth,
    AdSynthP,
    Broadcast,
    PoisonedFLNoise,
)
from fedsiege.attacks.adaptive import ad_sleep, disguise
from fedsiege.attacks.adaptive.ad_hist import WINDOW, Step, sideways
from fedsiege.attacks.adaptive.ad_sgn import low_rank_signs
from fedsiege.attacks.adaptive.disguise import tensor_places, weight_layers
from fedsiege.attacks.adaptive.synthetic import synthetic_steps
from fedsiege.attacks.fake.mpaf import random_base

MODULES = [disguise, ad_sleep]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody puts a disguise on: what is sent is the direction, times the norm."""

    def undisguised(broadcast, participants, direction, norm, noise, spread=0.0, groups=0):
        assert noise == 0.25
        assert spread == groups == 0
        return norm * direction.expand(len(participants), -1)

    for module in MODULES:
        monkeypatch.setattr(module, "disguise", undisguised)


def walk(rounds: int) -> list[torch.Tensor]:
    """A global model of ``net`` that does as it likes."""
    draw = torch.Generator().manual_seed(2)
    steps = 0.01 * torch.randn(rounds, models.size("net"), generator=draw)
    return list(models.random_weights("net", 2) + steps.cumsum(0))


def hears(number: int, path: list[torch.Tensor], seed: int = 3) -> Broadcast:
    previous = path[number - 2] if number > 1 else None
    return Broadcast(number, path[number - 1], previous, "net", seed)


def played(attack, path: list[torch.Tensor]):
    state, rounds = None, []
    for number in range(1, len(path) + 1):
        rows, state = attack.advance(hears(number, path), [4, 6], state)
        rounds.append((rows, state))
    return rounds


@pytest.mark.usefixtures("bare")
def test_drift_goes_one_way_for_ever_another_in_another_run() -> None:
    path = walk(3)
    attack = AdDrift(norm=2.0, noise=0.25)
    directions = [attack.craft(hears(number, path), [1])[0] for number in (2, 3)]
    assert torch.equal(directions[0], directions[1])
    assert (directions[0] / 2).std() == pytest.approx(1, abs=0.03)
    other = attack.craft(hears(2, path, seed=4), [1])[0]
    assert torch.cosine_similarity(directions[0], other, dim=0).abs() < 0.05


@pytest.mark.usefixtures("bare")
def test_mpaf_goes_for_its_base_model() -> None:
    path = walk(2)
    row = AdMpaf(norm=1.0, noise=0.25).craft(hears(2, path), [1])[0]
    torch.testing.assert_close(row.float(), random_base("net", 3) - path[1])


@pytest.mark.usefixtures("bare")
def test_signs_are_fixed_and_the_sizes_those_of_the_last_step() -> None:
    path = walk(3)
    attack = AdSgn(norm=1.0, noise=0.25)
    rows = [attack.craft(hears(number, path), [1])[0] for number in (2, 3)]
    torch.testing.assert_close(rows[1].abs().float(), (path[2] - path[1]).abs())
    assert not torch.equal(rows[0].abs(), rows[1].abs())
    assert torch.equal(rows[0].sign(), rows[1].sign())


def test_signs_are_of_rank_one_in_every_matrix() -> None:
    signs = low_rank_signs("net", 3)
    assert signs.abs().eq(1).all()
    assert 0.3 < signs.gt(0).double().mean() < 0.7
    for layer in weight_layers("net"):
        matrix = layer.matrix(signs)
        assert torch.equal(matrix, torch.outer(matrix[:, 0], matrix[0]) * matrix[0, 0])


@pytest.mark.usefixtures("bare")
def test_anti_opposes_the_moving_average_of_the_steps() -> None:
    path = walk(3)
    rounds = played(AdAnti(norm=2.0, noise=0.25), path)
    first, second = (path[1] - path[0]).double(), (path[2] - path[1]).double()
    assert not rounds[0][0].any()
    torch.testing.assert_close(rounds[1][0][0], -2 * 0.2 * first)
    torch.testing.assert_close(rounds[2][0][0], -2 * (0.8 * 0.2 * first + 0.2 * second))


@pytest.mark.usefixtures("bare")
def test_hist_waits_for_two_steps_and_remembers_no_more_than_its_window() -> None:
    rounds = played(AdHist(norm=1.0, noise=0.25), walk(WINDOW + 5))
    assert [bool(rows.any()) for rows, _ in rounds[:4]] == [False, False, True, True]
    assert [len(state) for _, state in rounds[:3]] == [0, 1, 2]
    rounds_kept = [step.round_number for step in rounds[-1][1]]
    assert rounds_kept == list(range(6, WINDOW + 6))


def test_hist_mixes_steps_and_is_orthogonal_to_their_average() -> None:
    draw = torch.Generator().manual_seed(0)
    seen = [Step(number, torch.randn(50, generator=draw)) for number in (3, 4, 7)]
    mix = sideways(1, seen)
    average = sum(0.8**age * seen[-1 - age].change.double() for age in range(3))
    assert abs(float(torch.dot(mix, average))) < 1e-9 * float(mix.norm() * average.norm())
    steps = torch.stack([step.change.double() for step in seen])
    rest = mix - steps.T @ torch.linalg.lstsq(steps.T, mix[:, None]).solution[:, 0]
    assert rest.norm() < 1e-9 * mix.norm(), "it is made of the steps and of nothing else"


def test_hist_keeps_the_coefficient_of_a_step() -> None:
    """With unit steps along the axes, the part across the average tells the coefficients."""
    axes = torch.eye(4)
    together = sideways(1, [Step(i + 1, axis) for i, axis in enumerate(axes)])
    average = torch.tensor([0.8**3, 0.8**2, 0.8, 1.0], dtype=torch.float64)
    coefficients = []
    for number in range(1, 5):
        # two equally large steps in one round: (z, z) against an average of (0.8, 1)
        pair = sideways(1, [Step(number, axes[0]), Step(number, axes[1])])
        z = pair[0] * (0.8**2 + 1) / (1 - 0.8)
        coefficients.append(z)
    mix = torch.stack(coefficients)
    assert mix.sort().values.diff().min() > 1e-3, "each step has one of its own"
    expected = mix - torch.dot(mix, average) / average.square().sum() * average
    torch.testing.assert_close(together, expected)


@pytest.mark.parametrize("attack", [AdSynth(), AdSynthP(norm=3.0)])
def test_synth_is_synthetic_training_at_length(attack: AdSynth) -> None:
    path = walk(2)
    broadcast = hears(2, path)
    length = (path[1] - path[0]).norm()
    rows = attack.craft(broadcast, [4, 6])
    trained = synthetic_steps(broadcast, [4, 6])
    assert (rows.norm(dim=1) / length).tolist() == pytest.approx([attack.norm] * 2, rel=1e-4)
    assert torch.equal(rows == 0, trained == 0)
    for _, place in tensor_places("net"):
        for row, own in zip(rows, trained, strict=True):
            if own[place].any():
                cosine = torch.cosine_similarity(row[place], own[place], dim=0)
                assert cosine == pytest.approx(1.0, abs=1e-4)


def test_synthp_has_the_profile_of_the_last_step_and_synth_its_own() -> None:
    path = walk(2)
    broadcast, step = hears(2, path), path[1] - path[0]
    rows = {cls: cls(norm=1.0).craft(broadcast, [4])[0] for cls in (AdSynth, AdSynthP)}
    trained = synthetic_steps(broadcast, [4])[0]
    moving = [place for _, place in tensor_places("net") if trained[place].any()]

    def shares(vector: torch.Tensor) -> torch.Tensor:
        norms = torch.stack([vector[place].norm() for place in moving])
        return norms / norms.norm()

    torch.testing.assert_close(shares(rows[AdSynthP]), shares(step), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(shares(rows[AdSynth]), shares(trained), rtol=1e-4, atol=1e-6)
    assert (shares(step) - shares(trained)).abs().max() > 0.1


@pytest.mark.usefixtures("bare")
def test_the_sleeper_helps_until_it_wakes_and_then_is_poisonedfl() -> None:
    path = walk(5)
    rounds = played(AdSleep(rounds=3, noise=0.25), path)
    assert not rounds[0][0].any()
    for number in (2, 3):
        step = path[number - 1] - path[number - 2]
        torch.testing.assert_close(rounds[number - 1][0][1].float(), step)
    poisoned, state = PoisonedFLNoise(noise=0.25), None
    for number in (4, 5):
        rows, state = poisoned.advance(hears(number, path), [4, 6], state)
        assert torch.equal(rounds[number - 1][0], rows)
    assert rounds[4][1].anchor_round == 3
