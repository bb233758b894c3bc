"""Memory by identity is bounded."""

from dataclasses import dataclass

import torch

from fedsiege.rules import memory, state
from fedsiege.rules.memory import NO_IDENTITIES, Memory, no_rows


@dataclass(frozen=True)
class Diary(Memory):
    """The last word of each."""

    words: torch.Tensor


def said(before: Diary, limit: int = 10, window: int | None = None, **words: float) -> Diary:
    """Go on by a round in which ``p7=1.5`` says that participant 7 sent 1.5."""
    present = torch.tensor([int(name[1:]) for name in words])
    turnout = before.turnout(present, limit, window)
    rows = torch.tensor(list(words.values()))[:, None]
    return Diary(
        turnout.identities, turnout.seen, turnout.rounds, turnout.carry(rows, before.words)
    )


NOTHING = Diary(NO_IDENTITIES, NO_IDENTITIES, 0, no_rows(torch.zeros(2, 1, dtype=torch.float64)))


def test_places_are_found_by_identity() -> None:
    known, wanted = torch.tensor([7, 3, 9]), torch.tensor([9, 4, 7])
    assert memory.places(known, wanted).tolist() == [2, -1, 0]


def test_who_was_away_longest_is_forgotten_first() -> None:
    known, seen = torch.tensor([1, 2, 3, 4]), torch.tensor([5, 2, 4, 3])
    present = torch.tensor([1, 8])
    assert memory.absent(known, seen, present, limit=4).tolist() == [2, 3]
    assert memory.absent(known, seen, present, limit=1).tolist() == []


def test_those_present_come_first_and_the_absent_keep_what_they_had() -> None:
    after = said(said(NOTHING, p7=1.0, p3=2.0, p9=3.0), p9=4.0, p5=5.0)
    assert after.identities.tolist() == [9, 5, 7, 3]
    assert after.seen.tolist() == [2, 2, 1, 1]
    assert after.words.flatten().tolist() == [4.0, 5.0, 1.0, 2.0]
    assert after.words.dtype == torch.float32
    assert after.rounds == 2


def test_what_is_remembered_of_those_present_is_recalled_in_their_order() -> None:
    before = said(NOTHING, p7=1.0, p3=2.0, p9=3.0)
    turnout = before.turnout(torch.tensor([9, 5, 7]), limit=10)
    assert turnout.known.tolist() == [True, False, True]
    assert turnout.recall(before.words).flatten().tolist() == [3.0, 1.0]
    rows = torch.full((len(turnout.places), 1), -1.0, dtype=before.words.dtype)
    filled = turnout.recall_into(rows, before.words)
    assert filled is rows
    assert filled[turnout.known].flatten().tolist() == [3.0, 1.0]
    assert (filled[~turnout.known] == -1).all()


def test_who_was_not_seen_within_the_window_is_forgotten() -> None:
    after = said(said(NOTHING, p7=1.0), p3=2.0)
    assert said(after, window=3, p5=0.0).identities.tolist() == [5, 3, 7]
    assert said(after, window=2, p5=0.0).identities.tolist() == [5, 3]


def test_no_more_than_the_limit_are_remembered() -> None:
    after = said(said(NOTHING, p7=1.0), p3=2.0)
    assert said(after, limit=2, p5=0.0).identities.tolist() == [5, 3]


def test_a_memory_is_no_view_of_the_rows_and_survives_being_written() -> None:
    rows = torch.ones(2, 1)
    turnout = NOTHING.turnout(torch.tensor([1, 2]), limit=10)
    carried = turnout.carry(rows, NOTHING.words)
    rows.fill_(9.0)
    assert carried.tolist() == [[1.0], [1.0]]
    after = Diary(turnout.identities, turnout.seen, turnout.rounds, carried)
    again = state.from_bytes(state.to_bytes(after), Diary)
    assert torch.equal(again.identities, after.identities)
    assert (again.rounds, again.words.tolist()) == (1, carried.tolist())
