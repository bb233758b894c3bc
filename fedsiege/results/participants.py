"""``participants.csv`` and ``detectors.csv``: each participant in each round."""

import enum
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from fedsiege.results.record import Column, Record


class Outcome(enum.StrEnum):
    """What became of a participant in a round, as the aggregator reports it."""

    NOT_SCHEDULED = "not_scheduled"
    MISSING = "missing"
    REJECTED = "rejected"
    EXCLUDED = "excluded"
    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    NOT_AGGREGATED = "not_aggregated"


#: Outcomes of an update that arrived and was not refused.
TAKEN_IN = (Outcome.ACCEPTED, Outcome.EXCLUDED, Outcome.QUARANTINED, Outcome.NOT_AGGREGATED)
#: Outcomes of an update that the rule was given.
RULED_ON = tuple(one for one in TAKEN_IN if one is not Outcome.QUARANTINED)


class Standing(enum.StrEnum):
    """The state of a participant in the audit after a round, as the aggregator reports it."""

    GOOD = "good"
    QUARANTINED = "quarantined"
    PROBATION = "probation"


@dataclass(frozen=True)
class Verdict:
    """What a detector of the audit says of a participant in a round.

    Attributes:
        detector: its name.
        score: the higher, the more suspect; 1 or more is flagged.
        flagged: whether the detector holds the participant suspect.
    """

    detector: str
    score: float
    flagged: bool


@dataclass(frozen=True)
class ParticipantRow(Record):
    """One participant in one round.

    Attributes:
        verdicts: what each detector of the audit says, which is in ``detectors.csv``; empty without
            an audit.
    """

    file: ClassVar[str] = "participants.csv"

    index: Annotated[int, Column("Participant index.")]
    identity: Annotated[str, Column("Identity that enrolled under the index.")]
    hostile: Annotated[bool, Column("Whether it is hostile: the truth, known to the simulator.")]
    round: Annotated[int, Column("Number of the round, 1 or more.")]
    norm: Annotated[float | None, Column("L2 norm of the update; empty if none was taken in.")]
    outcome: Annotated[
        Outcome,
        Column(
            "What became of the update: not_scheduled, missing, rejected, excluded (no weight in "
            "the rule), accepted, quarantined (kept from the rule by the audit) or not_aggregated "
            "(the rule could not aggregate the round)."
        ),
    ]
    accepted: Annotated[bool, Column("Whether the update had weight in the rule.")] = field(
        init=False
    )
    flagged: Annotated[
        bool,
        Column(
            "Whether a detector of the audit holds the participant suspect. What a rule left out "
            "is not flagged but excluded."
        ),
    ]
    score: Annotated[
        float | None,
        Column("Score of the rule, in its own sense; empty for rules that give none."),
    ] = None
    standing: Annotated[
        Standing | None,
        Column("State in the audit: good, quarantined or probation; empty without an audit."),
    ] = None
    returns_in_round: Annotated[
        int, Column("The first round in which its updates count again; 0 if they do.")
    ] = 0
    quarantines: Annotated[int, Column("How often it was quarantined so far.")] = 0
    verdicts: tuple[Verdict, ...] = ()

    def __post_init__(self) -> None:
        """Derive ``accepted``."""
        object.__setattr__(self, "accepted", self.outcome is Outcome.ACCEPTED)


@dataclass(frozen=True)
class VerdictRow(Record):
    """What one detector of the audit says of one participant in one round."""

    file: ClassVar[str] = "detectors.csv"

    round: Annotated[int, Column("Number of the round, 1 or more.")]
    index: Annotated[int, Column("Participant index.")]
    detector: Annotated[str, Column("Name of the detector.")]
    score: Annotated[float, Column("The higher, the more suspect; 1 or more is flagged.")]
    flagged: Annotated[bool, Column("Whether the detector holds the participant suspect.")]

    @classmethod
    def of(cls, participant: ParticipantRow) -> "list[VerdictRow]":
        """Return what all detectors say of a participant."""
        where = participant.round, participant.index
        return [cls(*where, one.detector, one.score, one.flagged) for one in participant.verdicts]
