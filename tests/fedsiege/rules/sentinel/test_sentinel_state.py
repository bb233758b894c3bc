"""What sentinel remembers: reputation and recovery, those away, bytes."""

import dataclasses

import pytest
import torch

from fedsiege.errors import InvalidValue
from fedsiege.rules import Aggregation, RoundContext, Sentinel, state
from fedsiege.rules.sentinel import SentinelState
from fedsiege.rules.sentinel.state import POOL_ROUNDS, Attendance

LAYOUT = (("fc.weight", (10, 30)), ("fc.bias", (10,)))
D = 310


def honest(n: int, round_number: int = 1) -> torch.Tensor:
    """Updates of a softmax layer: errors that add up to zero over the classes, times inputs."""
    generator = torch.Generator().manual_seed(round_number)
    errors = torch.randn(n, 40, 10, generator=generator) + torch.arange(10) * 0.3
    errors -= errors.mean(dim=2, keepdim=True)
    inputs = torch.rand(n, 40, 30, generator=generator)
    weight = torch.einsum("nsc,nsi->nci", errors, inputs)
    return torch.cat([weight.flatten(1), errors.sum(dim=1)], dim=1)


def fakes(n: int, round_number: int = 1) -> torch.Tensor:
    """Noise, whose class sums are not zero."""
    return torch.randn(n, D, generator=torch.Generator().manual_seed(900 + round_number))


def aggregate(
    updates: torch.Tensor,
    after: object | None = None,
    who: list[int] | None = None,
    rule: Sentinel | None = None,
) -> Aggregation:
    identities = torch.arange(len(updates)) if who is None else torch.tensor(who)
    context = RoundContext(participants=identities, layout=LAYOUT, seed=3)
    return (rule or Sentinel())(updates, context=context, state=after)


def known(result: Aggregation) -> SentinelState:
    assert isinstance(result.state, SentinelState)
    return result.state


def test_four_bad_rounds_in_a_row_cost_the_reputation_and_clean_ones_restore_it() -> None:
    after: object | None = None
    accepted, reputations = [], []
    for number in range(1, 8):
        updates = honest(9, number)
        if number <= 4:
            updates[0] = fakes(1, number)[0]
        result = aggregate(updates, after)
        after = result.state
        accepted.append(bool(result.accepted[0]))
        reputations.append(float(known(result).reputations[0]))
    assert reputations[:4] == pytest.approx([0.2, 0.36, 0.488, 0.5904])
    assert reputations[4:] == pytest.approx([0.47232, 0.377856, 0.3022848])
    assert accepted == [False] * 4 + [True] * 3
    assert not known(result).flagged.any()


def test_a_bad_reputation_outlasts_a_clean_round() -> None:
    after: object | None = None
    for number in range(1, 7):
        updates = honest(9, number)
        updates[0] = fakes(1, number)[0]
        after = aggregate(updates, after).state
    clean = aggregate(honest(9, 7), after)
    assert not clean.accepted[0]
    assert aggregate(honest(9, 7), after, rule=Sentinel(without="reputation")).accepted[0]
    assert known(clean).reputations[0] == pytest.approx(0.8 * (1 - 0.8**6))


def test_the_state_survives_bytes_bit_for_bit() -> None:
    straight = aggregate(honest(12, 2), aggregate(torch.cat([fakes(3), honest(9)])).state)
    data = state.to_bytes(aggregate(torch.cat([fakes(3), honest(9)])).state)
    assert state.to_bytes(state.from_bytes(data, SentinelState)) == data
    resumed = aggregate(honest(12, 2), state.from_bytes(data, SentinelState))
    assert torch.equal(resumed.update, straight.update)
    assert torch.equal(resumed.accepted, straight.accepted)
    assert state.to_bytes(resumed.state) == state.to_bytes(straight.state)


def test_memory_is_by_identity_not_by_position() -> None:
    first = aggregate(torch.cat([fakes(3), honest(9)])).state
    updates = honest(12, 2)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    straight = aggregate(updates, first)
    shuffled = aggregate(updates[order], first, who=order.tolist())
    torch.testing.assert_close(shuffled.update, straight.update)
    assert torch.equal(shuffled.accepted, straight.accepted[order])
    assert shuffled.scores is not None
    assert straight.scores is not None
    # Products of float32 differ in their last bits with the place of a row, and so do weights.
    torch.testing.assert_close(shuffled.scores, straight.scores[order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(known(shuffled).momenta, known(straight).momenta[order])


def test_absent_participants_keep_momentum_and_reputation() -> None:
    first = known(aggregate(torch.cat([fakes(2), honest(8)])))
    second = known(aggregate(honest(6, 2), first, who=list(range(4, 10))))
    assert second.identities.tolist() == [4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    assert torch.equal(second.momenta[6:], first.momenta[:4])
    assert torch.equal(second.lengths[6:], first.lengths[:4])
    torch.testing.assert_close(second.lengths[:6], honest(6, 2).double().norm(dim=1))
    assert second.reputations[6:].tolist() == [0.2, 0.2, 0, 0]
    assert second.flagged[6:].tolist() == [True, True, False, False]
    assert second.seen.tolist() == [2] * 6 + [1] * 4
    third = known(aggregate(honest(10, 3), second))
    assert third.reputations[:2].tolist() == pytest.approx([0.16, 0.16])


def test_absent_participants_are_in_the_pool_for_ten_rounds_unless_flagged() -> None:
    first = known(aggregate(torch.cat([fakes(1), honest(4)])))
    present = torch.tensor([7, 8, 9])
    for rounds, voting in ((1, [False, True, True, True, True]), (POOL_ROUNDS, None), (11, None)):
        later = dataclasses.replace(first, rounds=rounds)
        found = Attendance.of(later, present, remember=100).counted.tolist()
        expected = voting or [False] + [rounds < 11] * 4
        assert found == expected, rounds


def test_similar_absent_participants_reduce_weights() -> None:
    """Four that are present weigh less where sixteen more that pull alike are remembered."""
    first = aggregate(honest(20)).state
    updates, who = honest(20)[:4] + 0.3 * honest(4, 2), [0, 1, 2, 3]
    remembered = aggregate(updates, first, who).scores
    alone = aggregate(updates, first, who, Sentinel(without="memory")).scores
    assert remembered is not None
    assert alone is not None
    assert (remembered > alone).all()


def test_lengths_of_absent_participants_bound_the_usual_length() -> None:
    """Drawn for a round are three honest ones, and four who send twice as much as is usual."""
    first = aggregate(honest(20)).state
    updates, who = honest(7, 2), list(range(7))
    updates[3:] *= 2.0
    usual = float(known(aggregate(updates, first, who)).lengths[:3].median())
    alone = aggregate(updates, first, who, Sentinel(without="memory+similarity"))
    among = aggregate(updates, first, who, Sentinel(without="similarity"))
    assert among.accepted.all()
    assert alone.accepted.all()
    assert alone.update.norm() > 1.3 * among.update.norm()
    assert among.update.norm() < 1.3 * usual


def test_the_usual_length_at_most_doubles_in_a_round() -> None:
    """Twelve who send ten times as much at once: their second round is the first at four times."""
    first = aggregate(honest(12)).state
    lengths = [known(aggregate(honest(12))).usual]
    after = first
    for number in (2, 3, 4, 5, 6):
        result = aggregate(10 * honest(12, number), after)
        after = result.state
        lengths.append(known(result).usual)
        assert result.update.norm() <= 1.2501 * lengths[-1]
    assert lengths[1:4] == pytest.approx([2 * lengths[0], 4 * lengths[0], 8 * lengths[0]])
    assert lengths[5] == pytest.approx(10 * lengths[0], rel=0.1)  # and no further
    free = aggregate(10 * honest(12, 2), first, rule=Sentinel(without="pace"))
    assert known(free).usual == pytest.approx(10 * lengths[0], rel=0.1)


def test_new_identities_every_round_do_not_fill_the_memory() -> None:
    rule, after = Sentinel(remember=6), None
    for start in range(0, 40, 4):
        who = list(range(start, start + 4))
        after = aggregate(honest(4, start), after, who, rule).state
        assert isinstance(after, SentinelState)
        assert len(after.momenta) == len(after.identities) <= 6


def test_without_momentum_there_is_no_past() -> None:
    rule = Sentinel(without="momentum")
    first = aggregate(honest(5), rule=rule).state
    second = known(aggregate(honest(5, 2), first, rule=rule))
    torch.testing.assert_close(
        second.momenta, torch.nn.functional.normalize(honest(5, 2), dim=1), atol=1e-6, rtol=1e-5
    )


def test_a_state_of_another_rule_or_shape_is_refused() -> None:
    """Taken for none, it would let those in again whom the rounds before have found out."""
    before = known(aggregate(honest(9)))
    for wrong, what in (
        ("v", "sentinel state='str'"),
        (dataclasses.replace(before, momenta=torch.zeros(9, D + 1)), "state's momenta.*9 x 310"),
        (dataclasses.replace(before, flagged=torch.zeros(8, dtype=torch.bool)), "state's flagged"),
        (dataclasses.replace(before, lengths=before.lengths * torch.nan), "state's lengths"),
    ):
        with pytest.raises(InvalidValue, match=what):
            aggregate(honest(9, 2), wrong)
