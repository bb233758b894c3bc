"""Out, on probation, back: the ledger as a table."""

import pytest
import torch

from fedsiege.detectors import Ledger, Quarantine, Record, Standing
from fedsiege.detectors.quarantine import empty_ledger
from fedsiege.errors import InvalidValue
from fedsiege.rules.state import from_bytes, to_bytes
from tests.cases import each

TERMS = Quarantine(term=2, cap=8, probation=2)
GOOD, OUT, BACK = Standing.GOOD, Standing.QUARANTINED, Standing.PROBATION
CLEAN, FLAG, AWAY = "sends", "is flagged", "sends nothing"

#: What participant 3 does in rounds 1, 2, ..., and how it stands in that round.
LIVES = {
    "never flagged": [(CLEAN, GOOD), (AWAY, GOOD), (CLEAN, GOOD)],
    "one flag": [
        (FLAG, OUT),
        (CLEAN, OUT),
        (CLEAN, BACK),
        (CLEAN, GOOD),
        (CLEAN, GOOD),
    ],
    "flags while it is out change nothing": [
        (FLAG, OUT),
        (FLAG, OUT),
        (CLEAN, BACK),
        (CLEAN, GOOD),
    ],
    "a flag on probation doubles the term at once": [
        (FLAG, OUT),
        (CLEAN, OUT),
        (CLEAN, BACK),
        (FLAG, OUT),
        (CLEAN, OUT),
        (CLEAN, OUT),
        (CLEAN, OUT),
        (CLEAN, BACK),
        (CLEAN, GOOD),
    ],
    "flagged on its return": [
        *[(FLAG, OUT)] * 2,
        *[(FLAG, OUT)] * 4,
        *[(FLAG, OUT)] * 8,
        *[(FLAG, OUT)] * 8,
        (CLEAN, BACK),
    ],
    "rounds away do not count in its favour": [
        (FLAG, OUT),
        (AWAY, OUT),
        (AWAY, BACK),
        (AWAY, BACK),
        (AWAY, BACK),
        (CLEAN, BACK),
        (AWAY, BACK),
        (CLEAN, GOOD),
    ],
    "who was good long enough begins anew": [
        (FLAG, OUT),
        (CLEAN, OUT),
        (CLEAN, BACK),
        (CLEAN, GOOD),
        (FLAG, OUT),
        (CLEAN, OUT),
        (CLEAN, BACK),
    ],
    "a level is left for every probation's length": [
        (FLAG, OUT),
        (CLEAN, OUT),
        (FLAG, OUT),  # level 2: out for 4
        *[(CLEAN, OUT)] * 3,
        (CLEAN, BACK),
        (CLEAN, GOOD),  # level 1
        (FLAG, OUT),  # level 2 again
        *[(CLEAN, OUT)] * 3,
        (CLEAN, BACK),
        (CLEAN, GOOD),  # 1
        (CLEAN, GOOD),
        (CLEAN, GOOD),  # 0
        (FLAG, OUT),  # level 1: out for 2
        (CLEAN, OUT),
        (CLEAN, BACK),
    ],
}


@each("life", LIVES.values())
def test_a_life(life):
    ledger = empty_ledger()
    for number, (deed, standing) in enumerate(life, 1):
        present = {0, 3} - ({3} if deed == AWAY else set())
        ledger = TERMS.after(ledger, number, present, {3} if deed == FLAG else set())
        record = ledger.of(3)
        # The round that ends probation still is part of it.
        stands = TERMS.standing(record, number)
        assert stands == standing, f"round {number}: {record}"
        assert (3 in ledger.out(number)) == (standing == OUT)
        assert TERMS.standing(ledger.of(0), number) == GOOD


def test_a_record_by_hand():
    ledger = TERMS.after(empty_ledger(), 5, {3, 4}, {4})
    assert ledger.of(4) == Record(level=1, returns=7, clean=0, quarantines=1)
    assert ledger.of(3) == Record()
    assert ledger.records.keys() == {4}, "who was never flagged takes no room"
    ledger = TERMS.after(ledger, 7, {3, 4}, {4})
    assert ledger.of(4) == Record(level=2, returns=11, clean=0, quarantines=2)
    ledger = TERMS.after(ledger, 11, {4}, set())
    ledger = TERMS.after(ledger, 12, {4}, set())
    assert ledger.of(4) == Record(level=1, returns=11, clean=2, quarantines=2)


@pytest.mark.parametrize(
    ("level", "rounds"), [(1, 4), (2, 8), (3, 16), (5, 64), (6, 64), (10_000, 64)]
)
def test_terms_double_up_to_the_cap(level, rounds):
    assert Quarantine().rounds_at(level) == rounds


def test_it_changes_nothing_it_was_given_and_survives_as_bytes():
    before = TERMS.after(empty_ledger(), 1, {1, 2, 3}, {3, 1})
    table = before.table.clone()
    TERMS.after(before, 2, {2}, {2})
    assert torch.equal(before.table, table)
    again = from_bytes(to_bytes(before), Ledger)
    assert again.records == before.records == {1: Record(1, 3, 0, 1), 3: Record(1, 3, 0, 1)}


@pytest.mark.parametrize(
    "parameters", [{"term": 0}, {"cap": 3}, {"probation": 0}, {"term": 1.5}, {"term": 100}]
)
def test_parameters_out_of_range(parameters):
    with pytest.raises(InvalidValue, match="quarantine:"):
        Quarantine(**parameters)
