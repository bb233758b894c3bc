"""Detectors together: text, guards, what is kept from the rule."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from fedsiege import detectors
from fedsiege.detectors import Audit, AuditState, Detector, Ledger, Quarantine
from fedsiege.errors import InvalidValue
from fedsiege.rules import RoundContext
from tests.cases import each


@dataclass(frozen=True)
class First(Detector):
    """Reads the scores off a column of the updates, and counts its rounds."""

    name: ClassVar[str] = "first"
    summary: ClassVar[str] = "column"
    column: int = 0

    def judge(self, updates, context, state):
        return updates[:, self.column].double(), (state or 0) + 1


@dataclass(frozen=True)
class Second(First):
    """Another one."""

    name: ClassVar[str] = "second"
    column: int = 1


PAIR = Audit((First(), Second()), Quarantine(term=2, probation=2))


def examine(columns, number=1, state=None, pair=PAIR, who=None):
    rows = torch.tensor(columns, dtype=torch.float32).T
    participants = torch.arange(len(rows)) if who is None else torch.tensor(who)
    context = RoundContext(round_number=number, participants=participants)
    return pair.examine(rows, context, state)


NOBODY = [0.0] * 5


def test_what_any_detector_flags_is_out():
    found = examine([[0.9, 1.0, 0, 0, 0], [0, 0, 0, 3, 0.1]])
    assert found.scores.tolist() == pytest.approx(
        torch.tensor([[0.9, 1, 0, 0, 0], [0, 0, 0, 3, 0.1]])
    )
    assert found.flagged.tolist() == [
        [False, True, False, False, False],
        [False, False, False, True, False],
    ]
    assert found.out.tolist() == [False, True, False, True, False]
    assert found.notes == ()


def test_who_is_out_stays_out_unflagged_and_comes_back():
    state, outs = None, []
    for number, scores in enumerate([[2.0, 0, 0, 0, 0], NOBODY, NOBODY, NOBODY], 1):
        found = examine([scores, NOBODY], number, state)
        state = found.state
        outs.append(found.out.tolist()[0])
    assert outs == [True, True, False, False]
    assert state.memories == (4, 4), "detectors look at every round"
    assert state.ledger.of(0).quarantines == 1


def test_records_are_by_identity():
    state = examine([[2.0, 0, 0], [0.0] * 3], who=[7, 8, 9]).state
    found = examine([[0.0] * 3, [0.0] * 3], 2, state, who=[5, 6, 7])
    assert found.out.tolist() == [False, False, True]


def test_a_detector_that_flags_more_than_half_is_not_believed():
    found = examine([[2.0, 2, 2, 0, 0], [0, 0, 0, 2, 0]])
    assert found.out.tolist() == [False, False, False, True, False]
    assert not found.flagged[0].any()
    assert found.scores[0, 0] == 2
    assert found.notes == ("first flagged 3 of 5, and is not believed",)


def test_half_is_believed():
    found = examine([[2.0, 2, 0, 0], [0.0] * 4])
    assert found.out.tolist() == [True, True, False, False]


def test_together_they_leave_half_and_the_highest_scores_go_first():
    found = examine([[2.0, 3, 0, 0, 0], [0, 0, 5, 1, 0]])
    assert found.out.tolist() == [False, True, True, False, False]
    assert found.notes == ("0, 3: flagged, but stay in, or fewer than half would be left",)


def test_who_was_out_before_goes_first():
    state = examine([[2.0, 0, 0, 0, 0], NOBODY]).state
    state = examine([NOBODY, NOBODY], 2, state).state
    found = examine([[1.5, 9, 0, 0, 0], [0, 0, 8, 7, 0]], 3, state)
    assert found.out.tolist() == [True, True, False, False, False]


def test_who_is_out_already_takes_its_place_once_though_flagged_again():
    """Of 8, four may be out: the two who are, and two more. Nobody is spared for their flags."""
    state = examine([[2.0, 2, 0, 0, 0, 0, 0, 0], [0.0] * 8]).state
    found = examine([[2.0, 2, 3, 3, 0, 0, 0, 0], [0.0] * 8], 2, state)
    assert found.out.tolist() == [True] * 4 + [False] * 4
    assert found.notes == ()


def test_who_is_out_already_takes_the_room():
    state = examine([[2.0, 2, 0, 0, 0], NOBODY]).state
    found = examine([NOBODY, [0, 0, 3, 0, 0]], 2, state)
    assert found.out.tolist() == [True, True, False, False, False]
    assert found.state.ledger.of(2).quarantines == 0
    # Those out who send nothing take none.
    rows = torch.tensor([[0.0, 3], [0, 0], [0, 0]])
    present = RoundContext(round_number=2, participants=torch.tensor([2, 3, 4]))
    assert PAIR.examine(rows, present, state).out.tolist() == [True, False, False]


def test_who_is_flagged_and_stays_in_gains_no_credit():
    """Two of five are out, so there is no room for participant 0, who is on probation."""
    out = [[one, 1, 99, 0, 1] for one in (1, 2)]
    ledger = Ledger(torch.tensor([[0, 1, 1, 0, 1], *out]))
    state = AuditState((None, None), ledger)
    assert examine([NOBODY, NOBODY], 2, state).state.ledger.of(0).clean == 1
    found = examine([[2.0, 0, 0, 0, 0], NOBODY], 2, state)
    assert found.notes == ("0: flagged, but stay in, or fewer than half would be left",)
    assert found.state.ledger.of(0) == ledger.of(0)


def test_one_alone_is_never_put_out():
    assert examine([[9.0], [9.0]]).out.tolist() == [False]


def test_a_round_without_updates():
    state = examine([[2.0, 0, 0], [0.0] * 3]).state
    found = PAIR.examine(torch.zeros(0, 2), RoundContext(round_number=2), state)
    assert found.scores.shape == (2, 0)
    assert found.out.shape == (0,)
    assert found.state.ledger.records == state.ledger.records


def test_a_row_that_is_not_finite_is_out():
    rows = torch.zeros(4, 2)
    rows[1, 1] = torch.nan
    found = PAIR.examine(rows, RoundContext(round_number=1))
    assert found.out.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("norm", "norm:z=4.0,floor=0.25/quarantine:term=4,cap=64,probation=8"),
        (
            "norm:z=5/duplicate",
            "norm:z=5.0,floor=0.25/duplicate:cosine=0.99999,group=2/"
            "quarantine:term=4,cap=64,probation=8",
        ),
        (
            "quarantine:term=1,probation=3 / duplicate:group=3",
            "duplicate:cosine=0.99999,group=3/quarantine:term=1,cap=64,probation=3",
        ),
    ],
)
def test_text(text, spelled):
    read = detectors.parse(text)
    assert detectors.spell(read) == spelled
    assert detectors.parse(spelled) == read


@each(
    ("text", "said"),
    [
        ("nrom", "did you mean norm"),
        ("fixed_point/norm", "did you mean fixed-point"),
        ("", f"There are: {', '.join(detectors.names())}"),
        ("norm/", "There are"),
        ("norm:zz=3", "norm:zz"),
        ("norm:z=-1", "norm:z"),
        ("norm/norm:z=2", "each detector once"),
        ("norm/quarantine/quarantine", "quarantine once"),
        ("quarantine", "one detector or more"),
        ("norm/quarantine:term=0", "quarantine:term"),
        ("norm,duplicate", "norm,duplicate"),
    ],
)
def test_text_that_is_none(text, said):
    with pytest.raises(InvalidValue) as caught:
        detectors.parse(text)
    assert said in str(caught.value)
