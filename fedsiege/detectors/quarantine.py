"""What becomes of participants that are flagged: out for a time, on probation, back.

A participant flagged in round t is out from t on, for ``term * 2^(k - 1)`` rounds, k being its
level, which each quarantine raises by one. Then it is on probation, until it has taken part
unflagged in ``probation`` rounds: a flag puts it out at the next level, for twice as long. Every
``probation`` such rounds lower its level by one.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege.errors import InvalidValue
from fedsiege.registry import Component, Registry

#: Doublings, at most: the cap is reached long before.
_DOUBLINGS = 30


class Standing(enum.Enum):
    """How a participant stands."""

    GOOD = "nothing is held against it"
    QUARANTINED = "kept out for a time"
    PROBATION = "back after a time out"


@dataclass(frozen=True)
class Record:
    """What is held against one participant.

    Attributes:
        level: k, how often the next term has doubled already.
        returns: the first round in which its updates count again.
        clean: rounds in which it took part unflagged since then.
        quarantines: how often it was put out, for ever.
    """

    level: int = 0
    returns: int = 0
    clean: int = 0
    quarantines: int = 0


@dataclass(frozen=True)
class Ledger:
    """The records of all participants that were ever quarantined; others have none.

    Attributes:
        table: ``(k, 5)`` int64, identity, level, returns, clean, quarantines; by identity.
    """

    table: Tensor

    @cached_property
    def records(self) -> dict[int, Record]:
        """The records by identity, ascending."""
        return {identity: Record(*rest) for identity, *rest in self.table.tolist()}

    def of(self, identity: int) -> Record:
        """Return the record of a participant, an empty one if it has none."""
        return self.records.get(identity, Record())

    def out(self, round_number: int) -> set[int]:
        """Return the identities that are out in a round."""
        return {i for i, record in self.records.items() if record.returns > round_number}


def empty_ledger() -> Ledger:
    """Return the ledger before any round."""
    return Ledger(torch.zeros(0, 5, dtype=torch.int64))


@dataclass(frozen=True)
class Quarantine(Component):
    """The terms of quarantine and probation."""

    name: ClassVar[str] = "quarantine"
    summary: ClassVar[str] = (
        "how long flagged participants are kept out, and on probation afterwards"
    )

    term: Annotated[
        int, Ge(1), "rounds of the first quarantine, the one with the flag included"
    ] = 4
    cap: Annotated[int, Ge(1), "rounds of the longest quarantine"] = 64
    probation: Annotated[int, Ge(1), "unflagged rounds that end a probation"] = 8

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.cap < self.term:
            raise InvalidValue(f"{self.name}:cap", self.cap, f"{self.term}, the term, or more")

    def rounds_at(self, level: int) -> int:
        """Return how long a quarantine of a level, 1 or more, takes."""
        doublings: int = 2 ** min(level - 1, _DOUBLINGS)
        return min(self.cap, self.term * doublings)

    def standing(self, record: Record, round_number: int) -> Standing:
        """Return how the participant of a record stands in a round."""
        if record.returns > round_number:
            return Standing.QUARANTINED
        if record.quarantines > 0 and record.clean < self.probation:
            return Standing.PROBATION
        return Standing.GOOD

    def after(
        self,
        ledger: Ledger,
        round_number: int,
        present: Collection[int],
        flagged: Collection[int],
        spared: Collection[int] = (),
    ) -> Ledger:
        """Return the ledger after a round.

        Flags of participants that are out already change nothing, and rounds in which a participant
        sent nothing do not count in its favour.

        Args:
            ledger: as it was before.
            round_number: the round.
            present: the identities that sent an update.
            flagged: those of them that are flagged and go out.
            spared: those of them that are flagged and stay in, for want of room; the round does not
                count in their favour either.
        """
        rows = []
        for identity in sorted(ledger.records.keys() | set(flagged)):
            record = ledger.of(identity)
            if record.returns <= round_number:
                if identity in flagged:
                    record = self._put_out(record, round_number)
                elif identity in present and identity not in spared:
                    record = self._clear(record)
            rows.append([identity, record.level, record.returns, record.clean, record.quarantines])
        return Ledger(torch.tensor(rows, dtype=torch.int64).reshape(-1, 5))

    def _put_out(self, record: Record, round_number: int) -> Record:
        level = record.level + 1
        returns = round_number + self.rounds_at(level)
        return Record(level, returns, clean=0, quarantines=record.quarantines + 1)

    def _clear(self, record: Record) -> Record:
        clean = record.clean + 1
        served = clean % self.probation == 0 and record.level > 0
        return Record(record.level - served, record.returns, clean, record.quarantines)


registry: Registry[Quarantine] = Registry("quarantine")
registry.register(Quarantine)
