"""Mimic: whom it copies, and that it stays with them."""

import dataclasses

import pytest
import torch

from fedsiege import attacks
from fedsiege.errors import UnfitRound

#: They differ most along the first coordinate, where the third row lies apart.
ROWS = [[0.0, 0.1, 0.0], [0.1, -0.1, 0.0], [9.0, 0.0, 0.1], [0.2, 0.0, -0.1]]


def drift(rounds: int, seed: int = 1) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    place = torch.randn(6, 20, generator=draw)
    place[:, 0] *= 3  # where they differ most
    return [place + 0.3 * torch.randn(6, 20, generator=draw) for _ in range(rounds)]


def campaign(attack, tell, rounds: list[torch.Tensor]) -> list[torch.Tensor]:
    state, sent = None, []
    for number, rows in enumerate(rounds, start=1):
        crafted, state = attack.advance(tell(rows, round_number=number), [1, 4], state)
        assert torch.equal(crafted[0], crafted[1])
        sent.append(crafted[0])
    return sent


def copied(rounds: list[torch.Tensor], sent: list[torch.Tensor]) -> list[int]:
    return [int((rows == row).all(dim=1).nonzero()) for rows, row in zip(rounds, sent, strict=True)]


def test_a_fixed_target(tell):
    """A target is a participant, by index: the benign ones here are 0, 3, 6 and 9."""
    told = tell([[0.0, 0.0, 0.0]], ROWS)
    crafted = attacks.parse("mimic:target=3,knowledge=full").craft(told, [1, 4])
    assert crafted.tolist() == torch.tensor([ROWS[1]] * 2).tolist()
    with pytest.raises(UnfitRound, match=r"mimic:target=1: .* in round 1, only of 0, 3, 6, 9"):
        attacks.parse("mimic:target=1,knowledge=full").craft(told, [1])


def test_a_target_with_an_unusable_update_is_named(tell):
    rows = torch.tensor(ROWS)
    rows[1, 0] = torch.nan
    told = tell([[0.0, 0.0, 0.0]], rows)
    crafted = attacks.parse("mimic:target=6,knowledge=full").craft(told, [1])
    assert torch.equal(crafted[0], rows[2]), "whose row it is does not depend on the rows before"
    with pytest.raises(UnfitRound, match=r"mimic:target=3: .* only of 0, 6, 9"):
        attacks.parse("mimic:target=3,knowledge=full").craft(told, [1])


def test_the_direction_is_that_in_which_updates_vary_most(tell):
    """Power steps over the rounds end at the first eigenvector of the covariance."""
    rounds = drift(40)
    attack = attacks.parse("mimic:warmup=40")
    state = None
    for rows in rounds:
        _, state = attack.advance(tell(rows), [1], state)
    spread = torch.cat([rows - torch.stack(rounds).mean(dim=(0, 1)) for rows in rounds]).double()
    first = torch.linalg.svd(spread).Vh[0]
    assert abs(float(state.direction @ first)) > 0.999
    assert state.rounds == 40
    assert float(state.direction.norm()) == pytest.approx(1)


def test_it_copies_who_lies_farthest_along_the_direction(tell):
    """In one round, by hand: all of the spread is along the first coordinate, up or down."""
    crafted, state = attacks.parse("mimic").advance(tell(ROWS), [1], None)
    assert abs(float(state.direction[0])) > 0.999
    farthest = (torch.tensor(ROWS).double() @ state.direction).argmax()
    assert crafted[0].tolist() == torch.tensor(ROWS)[farthest].tolist()


def test_after_the_warm_up_it_stays_with_one(tell):
    rounds = drift(12)
    rounds[8:] = [rows.roll(1, dims=0) for rows in rounds[8:]]  # another sends what it sent
    sent = copied(rounds, campaign(attacks.parse("mimic:warmup=5"), tell, rounds))
    assert set(sent[4:]) == {sent[4]}
    watching = copied(rounds, campaign(attacks.parse("mimic:warmup=50"), tell, rounds))
    assert watching[8] != watching[4]


@pytest.mark.parametrize("knowledge", ["partial", "full"])
def test_it_stays_with_one_wherever_its_row_lies_in_sampled_rounds(tell, knowledge):
    """As many take part in each round, but not the same: places tell nobody apart."""
    attack = attacks.parse("mimic:warmup=3", knowledge=knowledge)
    draw = torch.Generator().manual_seed(5)
    state, chosen, rounds = None, None, drift(12)
    for number, everyone in enumerate(rounds, start=1):
        some = range(6) if number <= 3 else torch.randperm(6, generator=draw)[:4].tolist()
        some = sorted(some)
        told = tell(everyone[some], everyone[some], round_number=number)
        indices = tuple(10 * who for who in some)
        told = dataclasses.replace(told, hostile=indices, benign_indices=indices)
        crafted, state = attack.advance(told, [1], state)
        if number == 3:
            chosen = state.chosen
        if number > 3:
            assert state.chosen == chosen
            if chosen in indices:
                assert torch.equal(crafted[0], everyone[chosen // 10])
            else:
                farthest = (everyone[some].double() @ state.direction).argmax()
                assert torch.equal(crafted[0], everyone[some][farthest]), "somebody stands in"


def test_where_the_one_is_missing_another_stands_in_along_the_same_direction(tell):
    rounds = drift(7)
    attack = attacks.parse("mimic:warmup=3")
    state = None
    for rows in rounds[:5]:
        told = tell(rows)
        _, state = attack.advance(told, [1], state)
    absent = [place for place, who in enumerate(told.hostile) if who != state.chosen]
    few = rounds[5][absent]
    there = tuple(told.hostile[place] for place in absent)
    crafted, after = attack.advance(dataclasses.replace(tell(few), hostile=there), [1], state)
    assert torch.equal(after.direction, state.direction)
    assert torch.equal(crafted[0], few[(few.double() @ state.direction).argmax()])
    back = attack.advance(tell(rounds[6]), [1], after)[0]
    assert torch.equal(back[0], rounds[6][told.hostile.index(state.chosen)])


def test_memory_is_not_changed_by_the_rounds_that_follow(tell):
    rounds = drift(3)
    attack = attacks.parse("mimic")
    _, state = attack.advance(tell(rounds[0]), [1], None)
    kept = state.direction.clone(), state.center.clone()
    once = attack.advance(tell(rounds[1]), [1], state)[0]
    again = attack.advance(tell(rounds[1]), [1], state)[0]
    assert torch.equal(once, again)
    assert torch.equal(state.direction, kept[0])
    assert torch.equal(state.center, kept[1])


def test_where_all_are_the_same_it_sends_that(tell):
    assert attacks.parse("mimic").craft(tell([[2.0, 3.0]] * 3), [1]).tolist() == [[2.0, 3.0]]
