"""Replay: an old global step comes back after a delay, and no more is remembered than that."""

import pytest
import torch

from fedsiege import attacks
from fedsiege.attacks.fake.replay import Replay

#: The global model of rounds 1 to 6, and the steps between: 1, 10, -100, 5, 2.
MODELS = [0.0, 1.0, 11.0, -89.0, -84.0, -82.0]


def played(attack: Replay, hear, models: list[float]):
    """Return what is sent in each round and what is remembered after it."""
    state, rounds = None, []
    for number, value in enumerate(models, start=1):
        previous = [models[number - 2]] if number > 1 else None
        rows, state = attack.advance(hear([value], previous, number), [3, 8], state)
        assert torch.equal(rows[0], rows[1])
        rounds.append((rows[0].item(), state))
    return rounds


@pytest.mark.parametrize(
    ("delay", "sent"),
    [(1, [0, 0, 2, 20, -200, 10]), (2, [0, 0, 0, 2, 20, -200]), (5, [0] * 6)],
)
def test_a_step_comes_back_after_the_delay_at_scale(hear, delay: int, sent: list[float]) -> None:
    rounds = played(Replay(delay=delay, scale=2.0), hear, MODELS)
    assert [value for value, _ in rounds] == sent


def test_no_more_is_remembered_than_will_be_sent(hear) -> None:
    rounds = played(Replay(delay=2), hear, [float(i) for i in range(50)])
    assert [len(state) for _, state in rounds[:5]] == [0, 1, 2, 3, 3]
    assert len(rounds[-1][1]) == 3


def test_a_round_told_twice_gives_the_same_again(hear) -> None:
    attack = Replay(delay=1)
    state = played(attack, hear, MODELS[:3])[-1][1]
    once, again = (attack.advance(hear([-89.0], [11.0], 4), [0], state)[0] for _ in range(2))
    assert once.item() == 10.0
    assert torch.equal(once, again)


def test_under_the_mean_it_takes_part_of_the_way_once_more(hear) -> None:
    """Two of five replay a step of 1, three stand still: the model moves on by 2/5 of it."""
    rows, _ = attacks.create("replay", delay=1).advance(
        hear([1.0], [1.0], 3), [0, 1], (torch.tensor([1.0]),)
    )
    assert torch.cat([rows, torch.zeros(3, 1)]).mean().item() == pytest.approx(0.4)
