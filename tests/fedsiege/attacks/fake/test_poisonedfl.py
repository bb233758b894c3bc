"""PoisonedFL: one sign vector for ever, the size of a global step, weaker only where it fails."""

import math

import pytest
import torch

from fedsiege import attacks
from fedsiege.attacks import Broadcast
from fedsiege.attacks.fake.poisonedfl import PERIOD, Campaign, PoisonedFL, PoisonedFLNoise, quantile

D = 400


def hears(number: int, model: torch.Tensor, previous: torch.Tensor | None) -> Broadcast:
    return Broadcast(number, model.float(), None if previous is None else previous.float(), "x", 3)


def walk(steps: int) -> list[torch.Tensor]:
    """A global model that does as it likes."""
    draw = torch.Generator().manual_seed(1)
    return list(torch.randn(steps, D, generator=draw, dtype=torch.float64).cumsum(0))


def played(attack: PoisonedFL, models: list[torch.Tensor], fakes: list[int]):
    """Return each round's updates and what is remembered after it."""
    state: Campaign | None = None
    rounds = []
    for number, model in enumerate(models, start=1):
        previous = models[number - 2] if number > 1 else None
        rows, state = attack.advance(hears(number, model, previous), fakes, state)
        rounds.append((rows, state))
    return rounds


def test_the_first_round_sends_zeros_and_later_ones_the_length_of_a_step() -> None:
    models = walk(4)
    rounds = played(PoisonedFL(c=8), models, [1, 5])
    assert not rounds[0][0].any()
    for number in (1, 2, 3):
        rows = rounds[number][0]
        step = (models[number].float() - models[number - 1].float()).norm()
        torch.testing.assert_close(rows.norm(dim=1), (8 * step).expand(2), rtol=1e-5, atol=0)
        assert torch.equal(rows[0], rows[1])


def test_it_never_turns_round() -> None:
    rounds = played(PoisonedFL(), walk(6), [0])
    signs = torch.stack([rows[0].sign() for rows, _ in rounds[1:]])
    assert torch.equal(signs, signs[:1].expand(5, -1))
    assert 0.4 < (signs[0] > 0).double().mean() < 0.6


def test_the_size_follows_what_honest_training_did() -> None:
    """By hand: v is the absolute rest of the step once the fakes' own part is taken out."""
    last = torch.tensor([3.0, -4.0])  # of norm 5
    state = Campaign(last.double(), 2.0, torch.zeros(2, dtype=torch.float64), 1)
    broadcast = hears(2, torch.tensor([6.0, 8.0]), torch.zeros(2))  # a step of norm 10
    rows, _ = PoisonedFL().advance(broadcast, [0], state)
    # rest = (6, 8) - (3, -4) * 10 / 5 = (0, 16), so all of 2 * 10 goes to the second coordinate
    assert rows[0].abs().tolist() == pytest.approx([0.0, 20.0])


@pytest.mark.parametrize(("along", "expected"), [(True, 8.0), (False, 8.0 * 0.7)])
def test_it_grows_weaker_only_where_the_model_does_not_follow(along: bool, expected: float) -> None:
    attack = PoisonedFL()
    start = torch.zeros(D, dtype=torch.float64)
    _, state = attack.advance(hears(1, start, None), [0], None)
    signs = attack.advance(hears(2, start + 1, start), [0], state)[0][0].sign().double()
    moved = signs if along else -signs
    _, state = attack.advance(hears(PERIOD, moved, start), [0], state)
    assert state.strength == 8.0  # one round too early to look
    _, state = attack.advance(hears(PERIOD + 1, moved, start), [0], state)
    assert state.strength == pytest.approx(expected)
    assert state.anchor_round == PERIOD + 1


def test_it_never_grows_weaker_than_half() -> None:
    state = Campaign(torch.zeros(D).double(), 0.7, torch.zeros(D).double(), 1)
    _, after = PoisonedFL().advance(hears(PERIOD + 1, torch.zeros(D), torch.ones(D)), [0], state)
    assert after.strength == 0.7  # 0.49 would be below 0.5


def test_noise_tells_the_fakes_apart_and_is_as_long_as_told() -> None:
    models = walk(3)
    plain = played(PoisonedFL(), models, [2, 7])[-1][0]
    noisy = played(PoisonedFLNoise(noise=1.2), models, [2, 7])[-1][0]
    noise = noisy - plain
    torch.testing.assert_close(noise.norm(dim=1), 1.2 * plain.norm(dim=1), rtol=1e-4, atol=0)
    assert abs(torch.nn.functional.cosine_similarity(noise[0], noise[1], dim=0)) < 0.2
    alone = played(PoisonedFLNoise(noise=1.2), models, [7])[-1][0]
    assert torch.equal(alone[0], noisy[1])


def test_the_quantile_is_the_least_count_that_chance_reaches_once_in_a_hundred() -> None:
    # scipy.stats.binom.ppf(0.99, d, 0.5), the last three those of the authors' code and of LeNet-5
    exact = {1: 1, 10: 9, 100: 62, 1000: 537, 1001: 537, 13_106: 6_686, 44_426: 22_458}
    assert {d: quantile(d) for d in exact} == exact
    assert all(quantile(d) > d / 2 for d in range(1, 200))
    assert math.isclose(quantile(10**8) / 10**8, 0.5, abs_tol=1e-3)


def test_a_rule_that_averages_follows_it_and_a_median_does_not() -> None:
    """Ten rounds, 20 % fakes, honest updates that cancel: the model runs off, or stays."""
    from fedsiege import rules

    ends = {}
    for rule in ("fedavg", "median"):
        draw = torch.Generator().manual_seed(0)
        attack, state = attacks.create("poisonedfl"), None
        models = [torch.zeros(D)]
        for number in range(1, 11):
            previous = models[-2] if number > 1 else None
            honest = torch.randn(16, D, generator=draw)
            rows, state = attack.advance(hears(number, models[-1], previous), range(4), state)
            updates = torch.cat([honest, rows])
            models.append(models[-1] + rules.create(rule)(updates).update)
        ends[rule] = float(models[-1].norm())
    assert ends["fedavg"] > 5 * ends["median"]
