"""Tests of a round as a state machine: invariants that hold after any order of events."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedsiege import rules
from fedsiege.rules import RoundContext, RunningSum
from fedsiege.services.aggregator.collecting import MatrixCollector, SumCollector
from fedsiege.services.aggregator.round import Round
from fedsiege.services.errors import Duplicate, Malformed, ServiceError, WrongState
from fedsiege.v1 import aggregator_pb2 as pb

D = 3
OPEN = pb.CLOSE_REASON_UNSPECIFIED


def collector_for(text: str, n: int):
    rule_ = rules.parse(text)
    if rule_.streams:
        return SumCollector(RunningSum(D), rule_)
    return MatrixCollector(np.full((n, D), np.nan, np.float32), "cpu")


def new_round(indices: list[int], threshold: int = 0, text: str = "median") -> Round:
    collector = collector_for(text, len(indices))
    return Round(4, indices, threshold or len(indices), 9.0, collector)


def update_of(index: int) -> np.ndarray:
    return np.random.default_rng(index).normal(size=D).astype(np.float32)


def submit(current: Round, index: int) -> None:
    row = current.reserve(index)
    arrived = update_of(index)
    target = current.target(row)
    if target is not None:
        target[:] = arrived
        arrived = target
    current.accept(row, arrived, rules.norm_of(arrived), index + 1, 1)


def bad(text: str = "not finite") -> Malformed:
    return Malformed("NOT_FINITE", text)


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Participants reserve rows, submit valid or invalid updates, fail and retry in any order."""

    @initialize(
        indices=st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True).map(sorted),
        data=st.data(),
        text=st.sampled_from(["median", "fedavg"]),
    )
    def open(self, indices, data, text):
        self.rule = rules.parse(text)
        self.threshold = data.draw(st.integers(1, len(indices)))
        self.round = new_round(indices, self.threshold, text)
        self.arriving: dict[int, int] = {}
        self.taken: set[int] = set()
        self.rejected: set[int] = set()
        self.not_awaited: set[int] = set()
        self.reason = OPEN

    def some_arriving(self, data) -> int:
        return data.draw(st.sampled_from(sorted(self.arriving)))

    @rule(data=st.data())
    def reserve(self, data):
        index = data.draw(st.sampled_from([*self.round.indices, 99]))
        if not self.round.is_open:
            kind, reason = WrongState, "ROUND_CLOSED"
        elif index not in self.round.indices:
            kind, reason = WrongState, "NOT_SCHEDULED"
        elif index in self.rejected:
            kind, reason = Duplicate, "UPDATE_REFUSED"
        elif index in self.taken or index in self.arriving:
            kind, reason = Duplicate, None
        else:
            self.arriving[index] = self.round.reserve(index)
            assert self.round.indices[self.arriving[index]] == index
            return
        with pytest.raises(kind) as caught:
            self.round.reserve(index)
        assert reason in (None, caught.value.reason)

    @precondition(lambda self: self.arriving)
    @rule(data=st.data())
    def accept(self, data):
        index = self.some_arriving(data)
        row, arrived = self.arriving.pop(index), update_of(index)
        if not self.round.is_open:
            with pytest.raises(WrongState):
                self.round.accept(row, arrived, 1.0, 1, 1)
            self.round.release(row)
            return
        self.round.accept(row, arrived, 1.0, 1, 1)
        self.taken.add(index)
        self.expect_close()

    @precondition(lambda self: self.arriving)
    @rule(data=st.data())
    def reject(self, data):
        index = self.some_arriving(data)
        row = self.arriving.pop(index)
        if self.round.is_open:
            self.rejected.add(index)
        self.round.reject(row, bad(f"the NaN of {index}"))
        self.round.release(row)
        self.expect_close()

    @precondition(lambda self: self.arriving)
    @rule(data=st.data())
    def die(self, data):
        self.round.release(self.arriving.pop(self.some_arriving(data)))
        self.expect_close()

    @rule(data=st.data())
    def stop_waiting(self, data):
        indices = data.draw(st.sets(st.sampled_from([*self.round.indices, 99]), max_size=3))
        self.round.stop_waiting(indices)
        self.not_awaited |= indices & set(self.round.indices)
        self.expect_close()

    @precondition(lambda self: self.taken or self.rejected)
    @rule(data=st.data())
    def speak_late(self, data):
        """Send further events for a row whose update was accepted; they change nothing."""
        index = data.draw(st.sampled_from(sorted(self.taken | self.rejected)))
        row = self.round.indices.index(index)
        self.round.release(row)
        self.round.reject(row, bad("late"))

    @rule(reason=st.sampled_from([pb.CLOSE_REASON_DEADLINE, pb.CLOSE_REASON_EVERYONE_HEARD]))
    def close(self, reason):
        if self.round.is_open:
            self.reason = reason
        self.round.close(reason)

    def expect_close(self):
        if self.reason != OPEN:
            return
        if len(self.taken) == self.threshold:
            self.reason = pb.CLOSE_REASON_THRESHOLD
        elif self.taken | self.rejected | (self.not_awaited - self.arriving.keys()) == set(
            self.round.indices
        ):
            self.reason = pb.CLOSE_REASON_EVERYONE_HEARD

    @invariant()
    def the_books_are_right(self):
        current = self.round
        assert current.close_reason == self.reason
        assert current.is_open == (self.reason == OPEN)
        assert (current.taken, current.rejected) == (len(self.taken), len(self.rejected))
        assert current.taken + current.rejected <= len(current.indices)
        assert current.taken <= self.threshold
        assert [current.indices[row] for row in current.taken_rows()] == sorted(self.taken)
        assert set(current.problems) == self.rejected
        assert all(f"NaN of {index}" in current.problems[index] for index in self.rejected)
        has_norm = ~np.isnan(current.norms)
        assert {current.indices[row] for row in np.flatnonzero(has_norm)} == self.taken

    @invariant()
    def everyone_has_an_outcome(self):
        outcomes = self.round.outcomes(None)
        for index, outcome in zip(self.round.indices, outcomes, strict=True):
            expected = pb.OUTCOME_MISSING
            if index in self.taken:
                expected = pb.OUTCOME_NOT_AGGREGATED
            elif index in self.rejected:
                expected = pb.OUTCOME_REJECTED
            assert outcome == expected

    def teardown(self):
        """Check that the aggregate is that of the accepted updates and of no others."""
        if not hasattr(self, "round") or not self.taken:
            return
        self.round.close(pb.CLOSE_REASON_DEADLINE)
        found = self.round.aggregate(self.rule, RoundContext(), None)
        matrix = torch.from_numpy(np.stack([update_of(index) for index in sorted(self.taken)]))
        expected = self.rule(matrix)
        assert found.update.numpy().tobytes() == expected.update.numpy().tobytes()
        outcomes = self.round.outcomes(found.accepted)
        assert int((outcomes == pb.OUTCOME_ACCEPTED).sum()) == len(self.taken)


TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
TestAnyOrderOfEvents.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, derandomize=True
)


@pytest.mark.parametrize(
    "text", ["fedavg", "fedavg:weighted=true", "median", "trimmed-mean", "krum:f=1", "multi-krum"]
)
@given(data=st.data())
@settings(max_examples=15, deadline=None, derandomize=True)
def test_the_order_of_arrival_does_not_change_the_result(text, data):
    indices = data.draw(
        st.lists(st.integers(0, 99), min_size=5, max_size=12, unique=True).map(sorted)
    )
    present = data.draw(
        st.lists(st.sampled_from(indices), min_size=5, max_size=len(indices), unique=True)
    )
    absent = [index for index in indices if index not in present]
    rule_ = rules.parse(text)
    results = set()
    for order in (present, data.draw(st.permutations(present)), sorted(present)):
        current = new_round(indices, text=text)
        for liar in absent[::2]:
            current.reject(current.reserve(liar), bad())
        for index in order:
            submit(current, index)
        current.close(pb.CLOSE_REASON_DEADLINE)
        found = current.aggregate(rule_, RoundContext(), None)
        results.add((found.update.numpy().tobytes(), bytes(found.accepted.numpy())))
    assert len(results) == 1


def test_the_threshold_closes_a_round_and_refuses_arriving_updates():
    current = new_round([3, 5, 8], threshold=2)
    late = current.reserve(8)
    submit(current, 3)
    assert current.is_open
    submit(current, 5)
    assert current.close_reason == pb.CLOSE_REASON_THRESHOLD
    with pytest.raises(WrongState, match="round 4 is closed"):
        current.accept(late, update_of(8), 1.0, 1, 1)
    assert current.taken == 2
    found = current.aggregate(rules.parse("fedavg"), RoundContext(), None)
    np.testing.assert_allclose(found.update, (update_of(3) + update_of(5)) / 2, rtol=1e-6)


def test_answers_of_all_participants_close_a_round():
    current = new_round([0, 1, 2], threshold=3)
    submit(current, 1)
    current.reject(current.reserve(0), bad())
    assert current.is_open
    current.reject(current.reserve(2), bad())
    assert current.close_reason == pb.CLOSE_REASON_EVERYONE_HEARD
    outcomes = current.outcomes(None)
    assert list(outcomes) == [pb.OUTCOME_REJECTED, pb.OUTCOME_NOT_AGGREGATED, pb.OUTCOME_REJECTED]


@pytest.mark.parametrize("last", ["an update", "a refusal"])
def test_answers_of_all_participants_close_a_round_below_its_threshold(last):
    current = new_round([0, 1, 2, 3], threshold=2)
    for index in (0, 1):
        current.reject(current.reserve(index), bad())
    if last == "a refusal":
        submit(current, 2)
        current.reject(current.reserve(3), bad())
    else:
        current.reject(current.reserve(3), bad())
        assert current.is_open
        submit(current, 2)
    assert current.close_reason == pb.CLOSE_REASON_EVERYONE_HEARD


def test_a_failure_after_acceptance_changes_nothing():
    current = new_round([0, 1])
    row = current.reserve(0)
    current.accept(row, update_of(0), 1.0, 1, 1)
    current.reject(row, bad())
    current.release(row)
    assert (current.taken, current.rejected, current.problems) == (1, 0, {})


def test_the_first_close_reason_is_kept():
    current = new_round([0])
    submit(current, 0)
    current.close(pb.CLOSE_REASON_DEADLINE)
    assert current.close_reason == pb.CLOSE_REASON_THRESHOLD


def test_retry_is_possible_after_a_failure_but_not_after_a_refusal():
    current = new_round([0, 1, 2])
    current.release(current.reserve(0))
    submit(current, 0)
    liar = current.reserve(1)
    current.reject(liar, bad("three NaN"))
    with pytest.raises(ServiceError, match="three NaN"):
        current.reserve(1)


def test_a_partially_written_row_does_not_count():
    current = new_round([0, 1], text="median")
    row = current.reserve(0)
    current.target(row)[:2] = 1e9
    current.release(row)
    submit(current, 1)
    current.close(pb.CLOSE_REASON_DEADLINE)
    found = current.aggregate(rules.parse("median"), RoundContext(), None)
    np.testing.assert_array_equal(found.update, update_of(1))


def test_updates_without_weight_are_excluded():
    current = new_round([2, 4, 6, 7], text="krum:f=0")
    for index in (4, 6, 7):
        submit(current, index)
    current.close(pb.CLOSE_REASON_DEADLINE)
    found = current.aggregate(rules.parse("krum:f=0"), RoundContext(), None)
    outcomes = list(current.outcomes(found.accepted))
    assert outcomes[0] == pb.OUTCOME_MISSING
    assert sorted(outcomes[1:]) == [pb.OUTCOME_EXCLUDED] * 2 + [pb.OUTCOME_ACCEPTED]
