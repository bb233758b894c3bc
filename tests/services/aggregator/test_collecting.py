"""Tests of the collectors: rows in place and in order, sums in constant memory."""

import dataclasses
import tracemalloc
from typing import ClassVar

import numpy as np
import pytest
import torch

from fedsiege import rules
from fedsiege.errors import UnfitRound
from fedsiege.rules import Aggregation, RoundContext, Rule, RunningSum
from fedsiege.services.aggregator import collecting
from fedsiege.services.aggregator.collecting import MatrixCollector, SumCollector, new_matrix
from fedsiege.services.errors import Exhausted
from tests.cases import each

D = 6


@dataclasses.dataclass(frozen=True)
class Witness(Rule):
    """A rule that records what it is called with."""

    name: ClassVar[str] = "witness"
    summary: ClassVar[str] = "sees"
    seen: ClassVar[list[tuple[torch.Tensor, torch.Tensor]]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", [])  # what is a field is a parameter of the rule

    def combine(self, updates: torch.Tensor, context: RoundContext) -> Aggregation:
        self.seen.append((updates, context.weights))
        return Aggregation(updates.sum(0), torch.ones(len(updates), dtype=torch.bool))


def update(row: int) -> np.ndarray:
    return np.full(D, row + 0.5, np.float32)


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.intp)


@each("present", [(0, 1, 2, 3, 4), (1, 3), (4,), (0, 4), (0, 1, 2), (2, 3, 4), (1, 2, 4)])
@each("streamed", [True, False])
def test_rows_are_gathered_in_place_and_in_order(present, streamed):
    matrix = np.full((5, D), 99, np.float32)
    collector = MatrixCollector(matrix, "cpu")
    for row in reversed(present):
        arrived = update(row)
        if streamed:
            target = collector.target(row)
            target[:] = arrived
            arrived = target
        collector.put(row, arrived, 1.0, 10 + row, 1)
    rule = Witness()
    found = collector.aggregate(rule, rows(*present), RoundContext(), None)
    ((updates, weights),) = rule.seen
    np.testing.assert_array_equal(updates, [update(row) for row in present])
    assert weights.tolist() == [10 + row for row in present]
    assert updates.data_ptr() == matrix.ctypes.data, "no second matrix"
    np.testing.assert_array_equal(found.update, sum(update(row) for row in present))
    assert len(found.accepted) == len(present)


@pytest.mark.parametrize("fewer", [(0, 2, 6), (2, 3), (6,), (0, 2, 3, 6), ()])
def test_a_subset_of_gathered_rows_can_be_gathered(fewer):
    """The audit gets all updates, of 0, 2, 3 and 6; the rule those that are not in quarantine."""
    matrix = np.full((7, D), 99, np.float32)
    collector = MatrixCollector(matrix, "cpu")
    for row in (6, 2, 0, 3):
        collector.put(row, update(row), 1.0, 10 + row, 20 + row)
    collector.gather(rows(0, 2, 3, 6), RoundContext())
    updates, known = collector.gather(rows(*fewer), RoundContext(round_number=3))
    np.testing.assert_array_equal(updates, np.reshape([update(row) for row in fewer], (-1, D)))
    assert known.weights.tolist() == [10 + row for row in fewer]
    assert known.steps.tolist() == [20 + row for row in fewer]
    assert known.round_number == 3
    if fewer:
        assert updates.data_ptr() == torch.from_numpy(matrix).data_ptr(), "in place"


def test_an_update_written_to_its_row_is_not_copied():
    matrix = np.zeros((2, D), np.float32)
    collector = MatrixCollector(matrix, "cpu")
    target = collector.target(1)
    assert target.base is matrix
    target[:] = 7
    target.flags.writeable = False  # a copy onto itself would fail
    matrix.flags.writeable = False
    collector.put(1, target, 1.0, 1, 1)


@pytest.mark.parametrize("count", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_any_reported_sample_count_is_a_valid_weight(count):
    collector = MatrixCollector(np.zeros((1, D), np.float32), "cpu")
    collector.put(0, update(0), 1.0, count, 1)
    rule = Witness()
    collector.aggregate(rule, rows(0), RoundContext(), None)
    ((_, weights),) = rule.seen
    assert weights.tolist() == [min(count, collecting.LARGEST_COUNT)]
    weighted = rules.parse("fedavg:weighted=true")
    total = SumCollector(RunningSum(D), weighted)
    total.put(0, update(0), rules.norm_of(update(0)), count, 1)
    np.testing.assert_array_equal(
        total.aggregate(weighted, rows(0), RoundContext(), None).update, update(0)
    )


@pytest.mark.parametrize("text", ["fedavg", "fedavg:weighted=true", "norm-clipping:bound=2"])
def test_a_sum_and_a_matrix_agree_bit_for_bit(text):
    rule = rules.parse(text)
    rng = np.random.default_rng(3)
    updates = rng.normal(size=(7, D)).astype(np.float32) * 10 ** rng.uniform(-9, 9, (7, 1))
    updates = updates.astype(np.float32)
    matrix = MatrixCollector(np.empty((7, D), np.float32), "cpu")
    present = [0, 2, 3, 6]
    for row in present:
        matrix.put(row, updates[row], rules.norm_of(updates[row]), 5 * row, 1)
    by_matrix = matrix.aggregate(rule, rows(*present), RoundContext(), None).update
    total = SumCollector(RunningSum(D), rule)
    for row in reversed(present):
        total.put(row, updates[row], rules.norm_of(updates[row]), 5 * row, 1)
    by_sum = total.aggregate(rule, rows(*present), RoundContext(), None).update
    assert by_sum.numpy().tobytes() == by_matrix.numpy().tobytes()


def test_the_memory_of_a_sum_is_independent_of_participants():
    rule, d = rules.parse("fedavg"), 50_000
    arrived = np.random.default_rng(0).normal(size=d).astype(np.float32)
    norm = rules.norm_of(arrived)

    def peak(n: int) -> int:
        tracemalloc.start()
        try:
            collector = SumCollector(RunningSum(d), rule)
            for row in range(n):
                assert collector.target(row) is None
                collector.put(row, arrived, norm, 4, 1)
            collector.aggregate(rule, rows(*range(n)), RoundContext(), None)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(3), peak(300)
    assert many < 1.05 * few
    assert few < 6 * d * 8


def test_a_sum_starts_at_zero_in_each_round():
    rule, total = rules.parse("fedavg"), RunningSum(D)
    for value in (3.0, 5.0):
        collector = SumCollector(total, rule)
        arrived = np.full(D, value, np.float32)
        collector.put(0, arrived, rules.norm_of(arrived), 1, 1)
        assert (
            collector.aggregate(rule, rows(0), RoundContext(), None).update.tolist() == [value] * D
        )


@pytest.mark.parametrize("rule", ["fedavg", "median", "krum:f=0"])
def test_a_round_without_updates_is_an_error(rule):
    rule = rules.parse(rule)
    sums = SumCollector(RunningSum(D), rule) if rule.streams else None
    collector = sums or MatrixCollector(np.zeros((3, D), np.float32), "cpu")
    with pytest.raises(UnfitRound):
        collector.aggregate(rule, rows(), RoundContext(), None)


def test_a_round_larger_than_memory_is_refused_with_sizes():
    with pytest.raises(Exhausted, match=r"100000 updates of 1000000000 parameters need 381469726"):
        new_matrix(100_000, 1_000_000_000)
    assert new_matrix(3, 4).shape == (3, 4)
