"""``detection.csv``: what each detector's flags were worth in each round, against the truth.

Besides the detectors of the audit there are two more:

- ``rule``: flagged is who had no weight in the rule, of those whose updates it was given. Its
  scores are the rule's, where it gives some, turned round where a high one speaks for somebody.
  A round that it could not aggregate has no row: it has flagged nobody, and cleared nobody. The
  outcomes in ``participants.csv`` then are ``not_aggregated``, and the experiment notes why.
- ``audit``: flagged is whose update the audit kept from the rule, of all that were taken in. It has
  no scores of its own.

A detector speaks of those it gave a verdict on in that round. All figures are of that round alone;
what they mean, and when they are not defined and left blank, says ``fedsiege.metrics``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fedsiege.metrics import Detection, detection
from services.simulator.results.participants import TAKEN_IN, Outcome, ParticipantRow

HEADER = ("round", "detector", "tpr", "fpr", "precision", "auc")

RULE = "rule"
AUDIT = "audit"


@dataclass(frozen=True)
class DetectionRow:
    """What one detector's flags were worth in one round.

    Attributes:
        round: 1 or more.
        detector: its name, ``rule`` or ``audit``.
        worth: the figures.
    """

    round: int
    detector: str
    worth: Detection


@dataclass
class _Flags:
    """What is known of one detector in a round, participant by participant."""

    flagged: list[bool] = field(default_factory=list)
    hostile: list[bool] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, row: ParticipantRow, flagged: bool, score: float | None) -> None:
        self.flagged.append(flagged)
        self.hostile.append(row.hostile)
        self.scores.append(float("nan") if score is None else score)


def flags(row: ParticipantRow) -> dict[str, bool]:
    """Return which detectors spoke of a participant in a round, and whether they flagged it."""
    said = {one.detector: one.flagged for one in row.verdicts}
    if row.outcome in (Outcome.ACCEPTED, Outcome.EXCLUDED):
        said[RULE] = row.outcome is Outcome.EXCLUDED
    if row.outcome in TAKEN_IN and row.standing is not None:
        said[AUDIT] = row.outcome is Outcome.QUARANTINED
    return said


def detections(participants: Sequence[ParticipantRow], rule: str) -> list[DetectionRow]:
    """Compare what rule, audit and detectors made of a round with the truth.

    Args:
        participants: of one round; empty for round 0.
        rule: the rule with its parameters; of a pipeline the last step counts.
    """
    name = rule.rpartition("/")[2].partition(":")[0]
    from fedsiege import aggregation  # brings torch, which reading results must not wait for

    sign = -1 if aggregation.catalogue.get(name).trusting else 1
    seen: dict[str, _Flags] = {}
    for row in participants:
        scores: dict[str, float] = {one.detector: one.score for one in row.verdicts}
        if row.score is not None:
            scores[RULE] = sign * row.score
        for detector, flagged in flags(row).items():
            seen.setdefault(detector, _Flags()).add(row, flagged, scores.get(detector))
    return [
        DetectionRow(
            participants[0].round, detector, detection(one.flagged, one.hostile, one.scores)
        )
        for detector, one in sorted(seen.items(), key=lambda item: _order(item[0]))
    ]


def _order(detector: str) -> tuple[int, str]:
    """Rule and audit come first."""
    return ([RULE, AUDIT].index(detector) if detector in (RULE, AUDIT) else 2), detector


def to_columns(rows: Iterable[DetectionRow]) -> Iterable[tuple[object, ...]]:
    """Spell rows as ``HEADER`` says."""
    for row in rows:
        worth = row.worth
        yield row.round, row.detector, worth.tpr, worth.fpr, worth.precision, worth.auc
