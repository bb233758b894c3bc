"""Detectors together, and what they lead to: ``norm:z=5/duplicate/quarantine:term=2``."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from fedsiege import grammar
from fedsiege.detectors import base, quarantine
from fedsiege.detectors.base import FLAGGED, Detector
from fedsiege.detectors.quarantine import Ledger, Quarantine, empty_ledger
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.registry import spell
from fedsiege.rules.context import RoundContext, received
from fedsiege.rules.updates import Updates


@dataclass(frozen=True)
class AuditState:
    """What an audit remembers.

    Attributes:
        memories: the state of each detector.
        ledger: which participants are quarantined, or were.
    """

    memories: tuple[object | None, ...]
    ledger: Ledger = field(default_factory=empty_ledger)


@dataclass(frozen=True)
class Examination:
    """What an audit made of a round.

    Attributes:
        scores: ``(m, n)`` float64, of each of m detectors for each of n participants.
        flagged: ``(m, n)`` bool, which of them are flags that count.
        out: ``(n,)`` bool, which updates the rule must not use.
        state: to be passed in the next round.
        notes: for people: which flags did not count, and why.
    """

    scores: Tensor
    flagged: Tensor
    out: Tensor
    state: AuditState
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """Detectors that examine every round, and the terms for the participants they flag.

    One flag is enough. Two guards keep a faulty detector from excluding all participants:

    - the flags of a detector that flags more than half of a round do not count in that round;
    - no participant is quarantined if fewer than half would be left. Participants quarantined
      before come first, then those with the highest score.

    Args:
        detectors: at least one, of different names.
        quarantine: the terms.

    Raises:
        InvalidValue: there is none, or two have one name.
    """

    detectors: tuple[Detector, ...]
    quarantine: Quarantine = field(default_factory=Quarantine)

    def __post_init__(self) -> None:
        names = [detector.name for detector in self.detectors]
        if not names:
            raise InvalidValue("audit", self.spelled(), "one detector or more, as in norm/layers")
        if len(set(names)) < len(names):
            raise InvalidValue("audit", self.spelled(), "each detector once")

    def check(self, n: int) -> None:
        """Raise UnfitRound if n participants are too few for a detector."""
        for detector in self.detectors:
            if n < detector.least:
                raise UnfitRound(
                    f"{detector.name} tells nothing among fewer than {detector.least} participants,"
                    f" there are {n}"
                )

    def spelled(self) -> str:
        """Write it as text that ``parse`` reads back."""
        return grammar.SEPARATOR.join(spell(step) for step in (*self.detectors, self.quarantine))

    def examine(
        self, updates: Updates, context: RoundContext, state: AuditState | None = None
    ) -> Examination:
        """Examine a round, the updates of quarantined participants included.

        Args:
            updates: see ``Detector.score``.
            context: what is known of the round; ``round_number`` counts.
            state: what the round before gave; None in the first.

        Raises:
            UnfitRound: a detector cannot work with these updates, or without something that the
                context does not have.
        """
        before = state or AuditState((None,) * len(self.detectors))
        rows, context, _ = received(updates, context)
        judged = [
            detector.score(rows, context, remembered)
            for detector, remembered in zip(self.detectors, before.memories, strict=True)
        ]
        scores = torch.stack([score for score, _ in judged])
        flagged, notes = self._believed(scores)
        participants = context.identities(len(rows)).tolist()
        put_out, spared = self._put_out(
            scores, flagged, participants, before.ledger, context.round_number
        )
        if spared:
            names = ", ".join(map(str, sorted(spared)))
            notes.append(f"{names}: flagged, but stay in, or fewer than half would be left")
        ledger = self.quarantine.after(
            before.ledger, context.round_number, participants, put_out, spared
        )
        out = ledger.out(context.round_number)
        return Examination(
            scores=scores,
            flagged=flagged,
            out=torch.tensor([i in out for i in participants], dtype=torch.bool),
            state=AuditState(tuple(memory for _, memory in judged), ledger),
            notes=tuple(notes),
        )

    def _believed(self, scores: Tensor) -> tuple[Tensor, list[str]]:
        """Return ``(m, n)`` bool, the flags without those of detectors that flag too many."""
        flagged, n = scores >= FLAGGED, scores.shape[1]
        notes = []
        for detector, flags in zip(self.detectors, flagged, strict=True):
            count = int(flags.sum())
            if 2 * count > n:
                flags[:] = False
                notes.append(f"{detector.name} flagged {count} of {n}, and is not believed")
        return flagged, notes

    def _put_out(
        self,
        scores: Tensor,
        flagged: Tensor,
        participants: list[int],
        ledger: Ledger,
        round_number: int,
    ) -> tuple[set[int], set[int]]:
        """Return the identities to quarantine this round, and those spared for want of room."""
        already = ledger.out(round_number)
        highest = scores.where(flagged, -torch.inf).amax(dim=0).tolist()
        suspects = [
            (-ledger.of(identity).quarantines, -score, identity)
            for identity, score in zip(participants, highest, strict=True)
            if score >= FLAGGED and identity not in already
        ]
        room = max(0, len(participants) // 2 - sum(i in already for i in participants))
        ordered = [identity for *_, identity in sorted(suspects)]
        return set(ordered[:room]), set(ordered[room:])


def parse(text: str) -> Audit:
    """Create an audit from text: ``norm``, ``norm:z=5/duplicate``, ``norm/quarantine:term=2``.

    Args:
        text: what the user wrote: detectors, and the terms of quarantine if they are to be others
            than usual, in any order.

    Raises:
        InvalidValue: unknown name (with the nearest), unknown parameter, a value out of range, or
            one thing twice.
    """
    detectors: list[Detector] = []
    terms: list[Quarantine] = []
    for step in grammar.chain(text):
        if grammar.component(step)[0] == Quarantine.name:
            terms.append(quarantine.registry.parse(step))
        else:
            detectors.append(base.registry.parse(step))
    if len(terms) > 1:
        raise InvalidValue("audit", text, f"{Quarantine.name} once")
    return Audit(tuple(detectors), *terms)
