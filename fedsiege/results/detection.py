"""``detection.csv``: the flags of each detector in each round, compared with the truth.

Besides the detectors of the audit there are two more, of which a run has the one or the other:

- ``rule``: a rule that accuses (``Rule.accuses``), such as FLAME. Flagged are the updates that it
  gave no weight, of those that it was given. Its scores are those of the rule, where it gives some,
  with the opposite sign where a high one speaks for a participant. A round that the rule could not
  aggregate has no row. The outcomes in ``participants.csv`` then are ``not_aggregated``.
- ``selection``: the same figures of any other rule. Such a rule leaves none out, or always the same
  number: Krum takes one update of a round, and that says nothing against the others. Results of
  before December 2026 call these rows ``rule``, too.

Further:

- ``audit``: flagged are the participants whose update the audit kept from the rule, of all whose
  update was taken in. It has no scores of its own.

A detector covers the participants that it gave a verdict on in that round. All figures are of that
round alone; ``fedsiege.metrics`` says what they mean, and when they are not defined and left empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from fedsiege.metrics import Detection, detection
from fedsiege.results.participants import TAKEN_IN, Outcome, ParticipantRow
from fedsiege.results.record import Column, Record

RULE = "rule"
SELECTION = "selection"
AUDIT = "audit"
#: Names in ``detection.csv`` that are not those of detectors of the audit.
NO_DETECTORS = (RULE, SELECTION, AUDIT)


@dataclass(frozen=True)
class DetectionRow(Record):
    """The flags of one detector in one round."""

    file: ClassVar[str] = "detection.csv"

    round: Annotated[int, Column("Number of the round, 1 or more.")]
    detector: Annotated[
        str, Column("Name of a detector of the audit, or rule, selection or audit.")
    ]
    tpr: Annotated[
        float | None,
        Column("Share of the hostile participants that were flagged, 0 to 1; empty without any."),
    ]
    fpr: Annotated[
        float | None,
        Column("Share of the benign participants that were flagged, 0 to 1; empty without any."),
    ]
    precision: Annotated[
        float | None,
        Column("Share of the flagged that are hostile, 0 to 1; empty if none was flagged."),
    ]
    auc: Annotated[
        float | None,
        Column(
            "Area under the ROC curve of the detector's scores, 0 to 1; empty without scores, or "
            "where all participants are of one kind."
        ),
    ]

    @property
    def worth(self) -> Detection:
        """The figures alone."""
        return Detection(self.tpr, self.fpr, self.precision, self.auc)


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


def _flags(row: ParticipantRow, left_out: str) -> dict[str, bool]:
    """Return by detector whether it flagged a participant; only those that gave a verdict.

    Args:
        row: the participant in the round.
        left_out: the detector that the rule counts as, ``RULE`` or ``SELECTION``.
    """
    said = {one.detector: one.flagged for one in row.verdicts}
    if row.outcome in (Outcome.ACCEPTED, Outcome.EXCLUDED):
        said[left_out] = row.outcome is Outcome.EXCLUDED
    if row.outcome in TAKEN_IN and row.standing is not None:
        said[AUDIT] = row.outcome is Outcome.QUARANTINED
    return said


def detections(participants: Sequence[ParticipantRow], rule: str) -> list[DetectionRow]:
    """Compare the flags of rule, audit and detectors in a round with the truth.

    Args:
        participants: those of one round; empty for round 0.
        rule: the rule with its parameters; of a pipeline the last step counts.
    """
    name = rule.rpartition("/")[2].partition(":")[0]
    from fedsiege import rules  # imports torch, which reading results does not need

    last = rules.registry.get(name)
    sign = -1 if last.trusting else 1
    left_out = RULE if last.accuses else SELECTION
    seen: dict[str, _Flags] = {}
    for row in participants:
        scores: dict[str, float] = {one.detector: one.score for one in row.verdicts}
        if row.score is not None:
            scores[left_out] = sign * row.score
        for detector, flagged in _flags(row, left_out).items():
            seen.setdefault(detector, _Flags()).add(row, flagged, scores.get(detector))
    return [
        DetectionRow(
            participants[0].round,
            detector,
            **vars(detection(one.flagged, one.hostile, one.scores)),
        )
        for detector, one in sorted(seen.items(), key=lambda item: _order(item[0]))
    ]


def _order(detector: str) -> tuple[int, str]:
    """Sort rule or selection, and audit, before the detectors of the audit."""
    known = NO_DETECTORS.index(detector) if detector in NO_DETECTORS else len(NO_DETECTORS)
    return known, detector
