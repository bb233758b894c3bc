"""``participants.csv`` and ``detectors.csv``: what became of each participant in each round."""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HEADER = (
    "index",
    "identity",
    "hostile",
    "round",
    "norm",
    "outcome",
    "accepted",
    "flagged",
    "score",
    "standing",
    "returns_in_round",
    "quarantines",
)
VERDICTS_HEADER = ("round", "index", "detector", "score", "flagged")


class Outcome(enum.StrEnum):
    """What became of a participant in a round, as the aggregator says."""

    NOT_SCHEDULED = "not_scheduled"
    MISSING = "missing"
    REJECTED = "rejected"
    EXCLUDED = "excluded"
    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    NOT_AGGREGATED = "not_aggregated"


#: What becomes of an update that came and was not refused.
TAKEN_IN = (Outcome.ACCEPTED, Outcome.EXCLUDED, Outcome.QUARANTINED, Outcome.NOT_AGGREGATED)
#: What becomes of an update that the rule was given.
RULED_ON = tuple(one for one in TAKEN_IN if one is not Outcome.QUARANTINED)


class Standing(enum.StrEnum):
    """How a participant stands with the audit after a round, as the aggregator says."""

    GOOD = "good"
    QUARANTINED = "quarantined"
    PROBATION = "probation"


@dataclass(frozen=True)
class Verdict:
    """What a detector of the audit says of a participant in a round.

    Attributes:
        detector: its name.
        score: the more suspect, the higher; 1 or more is flagged.
        flagged: whether it holds the participant suspect.
    """

    detector: str
    score: float
    flagged: bool


@dataclass(frozen=True)
class ParticipantRow:
    """One participant in one round.

    Attributes:
        index: the participant index.
        identity: who enrolled under it.
        hostile: the ground truth, which only the simulator knows.
        round: the round, 1 or more.
        norm: L2 norm of the update, or None if none was taken in.
        outcome: what became of the update.
        flagged: a detector of the audit holds the participant suspect. What a rule left out has the
            outcome ``excluded``; whether that is an accusation, ``detection`` says.
        score: the rule's score, in its own sense; None for rules that give none.
        standing: with the audit; None without one.
        returns_in_round: the first round in which its updates count again, 0 if they do.
        quarantines: how often it was put into quarantine.
        verdicts: what each detector said; empty without an audit.
    """

    index: int
    identity: str
    hostile: bool
    round: int
    norm: float | None
    outcome: Outcome
    flagged: bool
    score: float | None = None
    standing: Standing | None = None
    returns_in_round: int = 0
    quarantines: int = 0
    verdicts: tuple[Verdict, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the update had weight."""
        return self.outcome is Outcome.ACCEPTED


def to_columns(row: ParticipantRow) -> tuple[object, ...]:
    """Spell a row as ``HEADER`` says."""
    return (
        row.index,
        row.identity,
        row.hostile,
        row.round,
        row.norm,
        row.outcome,
        row.accepted,
        row.flagged,
        row.score,
        row.standing,
        row.returns_in_round,
        row.quarantines,
    )


def verdict_columns(rows: Iterable[ParticipantRow]) -> Iterator[tuple[object, ...]]:
    """Spell what the detectors said of participants as ``VERDICTS_HEADER`` says."""
    for row in rows:
        for one in row.verdicts:
            yield row.round, row.index, one.detector, one.score, one.flagged
