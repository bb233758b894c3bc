"""Fang's attacks on the trimmed mean and on Krum."""

import pytest
import torch

from fedsiege import attacks, rules
from fedsiege.errors import UnfitRound

#: Trends 1, 1, -1, -1 and 0; the far ends are 2, -1, 5 (the largest), -1 and 0.
BENIGN = [[2.0, -1.0, 5.0, -1.0, 1.0], [4.0, 5.0, -9.0, -3.0, -1.0]]
ENDS = [(1, 2), (-2, -1), (5, 10), (-1, -0.5), (0, 0)]


def draws(text: str, told, count: int = 5000) -> torch.Tensor:
    return attacks.parse(text).craft(told, range(count))


def test_trimmed_mean_is_drawn_beyond_the_far_end(tell):
    """Between min / 2 and min, 2 min and min, max and 2 max, max and max / 2: evenly."""
    crafted = draws("fang-trimmed-mean:knowledge=full", tell([[0.0] * 5], BENIGN))
    for column, (low, high) in zip(crafted.T, ENDS, strict=True):
        assert low <= float(column.min()) <= low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) <= float(column.max()) <= high
        assert float(column.mean()) == pytest.approx((low + high) / 2, abs=0.02 * (high - low))


def test_b_says_how_far_beyond(tell):
    crafted = draws("fang-trimmed-mean:knowledge=full,b=4", tell([[0.0] * 5], BENIGN))
    assert float(crafted[:, 2].max()) == pytest.approx(20, rel=0.02)
    assert float(crafted[:, 0].min()) == pytest.approx(0.5, rel=0.02)


def test_trimmed_mean_with_partial_knowledge_guesses_three_to_four_deviations(tell):
    """Means 2, -6 and 0, population deviations 2, 1 and 1; what has no trend stays where it is."""
    own = [[0.0, -7.0, 1.0], [4.0, -5.0, -1.0]]
    crafted = draws("fang-trimmed-mean", tell(own))
    for column, (low, high) in zip(crafted.T[:2], [(-6, -4), (-3, -2)], strict=True):
        assert low <= float(column.min()) <= low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) <= float(column.max()) <= high
    assert not crafted[:, 2].any()


@pytest.mark.parametrize("text", ["fang-trimmed-mean", "fang-trimmed-mean:knowledge=full"])
def test_trimmed_mean_is_drawn_by_participant_and_round(text, tell):
    told = tell(BENIGN, BENIGN)
    crafted = attacks.parse(text).craft(told, [3, 8])
    again = attacks.parse(text).craft(told, [8])
    later = attacks.parse(text).craft(tell(BENIGN, BENIGN, round_number=2), [8])
    assert torch.equal(crafted[1:], again)
    assert not torch.equal(crafted[:1], again)
    assert not torch.equal(later, again)


def federation(hostile: int, benign: int, spread: float, d: int = 8) -> torch.Tensor:
    draw = torch.Generator().manual_seed(5)
    rows = torch.randn(hostile + benign, d, generator=draw) * spread
    return rows + torch.tensor([1.0, -1.0] * (d // 2))


def test_krum_chooses_what_was_crafted_and_not_what_is_twice_as_far(tell):
    """lambda was halved until it worked; so twice of it did not, or was above the bound."""
    rows = federation(4, 12, spread=2.0)
    crafted = attacks.parse("fang-krum:knowledge=full").craft(tell(rows[:4], rows[4:]), [1, 4])
    trend = rows[4:].sum(dim=0).sign()
    size = float(crafted[0].abs()[0])
    torch.testing.assert_close(crafted, (-size * trend).expand(2, -1))
    krum = rules.parse("krum:f=4")
    chosen = krum(torch.cat((rows[4:], crafted[:1].expand(4, -1)))).update
    assert torch.equal(chosen, crafted[0])
    further = krum(torch.cat((rows[4:], 2 * crafted[:1].expand(4, -1)))).update
    assert not torch.equal(further, 2 * crafted[0])


def test_krum_by_hand(tell):
    """Benign 1, 1.5, 3 and 4, one hostile -x: of five rows with f = 1, two neighbours count.

    Among themselves they have 4.25 (of 1), 2.5, 3.25 and 7.25 at least, so x begins at
    sqrt(2.5 / 2) + 4. -x is chosen if (1 + x)^2 + (1.5 + x)^2 is less than the others' scores, of
    which that of 1.5 is the smallest, 0.25 + 2.25 = 2.5: never, since for x = 0 it is 3.25.
    """
    benign = [[1.0], [1.5], [3.0], [4.0]]
    told = tell([[2.0]], benign)
    assert attacks.parse("fang-krum:knowledge=full").craft(told, [1]).tolist() == [[2.0]]


def test_krum_by_hand_where_it_works(tell):
    """Benign -1, 1, 3 and 4: among themselves the scores are 20, 8, 5 and 10.

    x begins at sqrt(5 / 2) + 4 = 5.58 and fails there, and at 2.79 (3.2 + 14.4 against 5). At 1.395
    the hostile one has 0.16 + 5.74 = 5.9, still more than 5. At 0.698 it has 0.09 + 2.88 = 2.97;
    -1 has 0.09 + 4, and 1 has 2.88 + 4: it is chosen.
    """
    told = tell([[2.0]], [[-1.0], [1.0], [3.0], [4.0]])
    crafted = attacks.parse("fang-krum:knowledge=full").craft(told, [1])
    assert crafted.tolist() == [[pytest.approx(-(2.5**0.5 + 4) / 8)]]


@pytest.mark.parametrize("knowledge", ["partial", "full"])
def test_krum_is_attacked_at_a_low_learning_rate_as_at_a_high_one(knowledge, tell):
    """A floor of 1e-5 whatever the size of the updates would send what an honest one sends."""
    attack = attacks.create("fang-krum", knowledge=knowledge)
    own = [[-4.0], [-1.0], [2.0], [6.0], [7.0]] if knowledge == "partial" else [[2.0]]
    rows, others = torch.tensor(own), torch.tensor([[-1.0], [1.0], [3.0], [4.0]])
    large = attack.craft(tell(rows, others), [1])
    small = attack.craft(tell(2.0**-20 * rows, 2.0**-20 * others), [1])
    assert large < 0
    torch.testing.assert_close(small, 2.0**-20 * large, atol=0, rtol=1e-6)


def test_krum_with_partial_knowledge_adds_hostile_rows_until_it_works(tell):
    """Own -4, -1, 2, 6 and 7: one hostile row is never chosen, so it tries with two.

    Three neighbours count. Among themselves 2 has the least score, 9 + 16 + 25 = 50, so x begins at
    sqrt(50 / 2) + 7 = 12. At 12 and 6 others are chosen (at 6 it is -4, with 4 + 4 + 9 to 4 + 25);
    at 3 the hostile ones have 0 + 1 + 4, the least.
    """
    told = tell([[-4.0], [-1.0], [2.0], [6.0], [7.0]])
    assert attacks.parse("fang-krum").craft(told, [1, 4]).tolist() == [[-3.0]] * 2
    alone = rules.create("krum", f=1)(torch.cat((told.own, torch.tensor([[-3.0]]))))
    assert alone.update.tolist() == [-1.0]


@pytest.mark.parametrize(
    ("text", "own", "benign"),
    [
        ("fang-krum", [[1.0]] * 3, None),
        ("fang-krum:knowledge=full", [[1.0]] * 2, [[1.0], [2.0], [3.0], [4.0]]),
    ],
)
def test_krum_that_could_not_work_anyhow_is_not_attacked(text, own, benign, tell):
    with pytest.raises(UnfitRound, match=r"fang-krum .*krum with f=.* needs at least"):
        attacks.parse(text).craft(tell(own, benign), [1])


def test_where_nobody_moves_there_is_no_trend(tell):
    told = tell([[7.0, 7.0]], [[0.0, 0.0]] * 4)
    assert attacks.parse("fang-krum:knowledge=full").craft(told, [1]).tolist() == [[7.0, 7.0]]


def test_updates_beyond_float32_do_not_hang_it(tell):
    rows = torch.tensor([[1e30, 1.0], [-2e30, 1.0], [3e30, 1.0], [1e31, 1.0], [0.0, 1.0]])
    crafted = attacks.parse("fang-krum:knowledge=full").craft(tell(rows[:1], rows[1:]), [1])
    assert crafted.isfinite().all()
