"""``detection.csv``: what each detector's flags were worth in each round, against the truth.

Besides the detectors of the audit there are two more, of which a run has the one or the other:

- ``rule``: of a rule that accuses (``Rule.accuses``), such as FLAME. Flagged are the updates that
  it gave no weight, of those that it was given. Its scores are the rule's, where it gives some,
  turned round where a high one speaks for a participant. A round that it could not aggregate has no
  row. The outcomes in ``participants.csv`` then are ``not_aggregated``, and the experiment notes
  why.
- ``selection``: the same figures of any other rule. It leaves none out, or as many as it always
  does: Krum takes one update of a round, and that says nothing against the others. In results of
  before December 2026 these rows, too, are called ``rule``.

Further:

- ``audit``: flagged is whose update the audit kept from the rule, of all that were taken in. It has
  no scores of its own.

A detector speaks of those it gave a verdict on in that round. All figures are of that round alone;
what they mean, and when they are not defined and left blank, says ``fedsiege.metrics``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fedsiege.metrics import Detection, detection
from fedsiege.results.participants import TAKEN_IN, Outcome, ParticipantRow

HEADER = ("round", "detector", "tpr", "fpr", "precision", "auc")

RULE = "rule"
SELECTION = "selection"
AUDIT = "audit"
#: Names that are no detector's of the audit.
NO_DETECTORS = (RULE, SELECTION, AUDIT)


@dataclass(frozen=True)
class DetectionRow:
    """What one detector's flags were worth in one round.

    Attributes:
        round: 1 or more.
        detector: its name, ``rule``, ``selection`` or ``audit``.
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


def flags(row: ParticipantRow, left_out: str) -> dict[str, bool]:
    """Return which detectors spoke of a participant in a round, and whether they flagged it.

    Args:
        row: the participant in the round.
        left_out: what it is called to have no weight in the rule, ``RULE`` or ``SELECTION``.
    """
    said = {one.detector: one.flagged for one in row.verdicts}
    if row.outcome in (Outcome.ACCEPTED, Outcome.EXCLUDED):
        said[left_out] = row.outcome is Outcome.EXCLUDED
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
    from fedsiege import rules  # brings torch, which reading results must not wait for

    last = rules.registry.get(name)
    sign = -1 if last.trusting else 1
    left_out = RULE if last.accuses else SELECTION
    seen: dict[str, _Flags] = {}
    for row in participants:
        scores: dict[str, float] = {one.detector: one.score for one in row.verdicts}
        if row.score is not None:
            scores[left_out] = sign * row.score
        for detector, flagged in flags(row, left_out).items():
            seen.setdefault(detector, _Flags()).add(row, flagged, scores.get(detector))
    return [
        DetectionRow(
            participants[0].round, detector, detection(one.flagged, one.hostile, one.scores)
        )
        for detector, one in sorted(seen.items(), key=lambda item: _order(item[0]))
    ]


def _order(detector: str) -> tuple[int, str]:
    """Rule or selection, and audit come first."""
    known = NO_DETECTORS.index(detector) if detector in NO_DETECTORS else len(NO_DETECTORS)
    return known, detector


def to_columns(rows: Iterable[DetectionRow]) -> Iterable[tuple[object, ...]]:
    """Spell rows as ``HEADER`` says."""
    for row in rows:
        worth = row.worth
        yield row.round, row.detector, worth.tpr, worth.fpr, worth.precision, worth.auc
