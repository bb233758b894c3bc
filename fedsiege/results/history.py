"""``history.csv``: the global model after each round."""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedsiege.metrics import instability

HEADER = (
    "round",
    "accuracy",
    "loss",
    "updates",
    "rejected",
    "seconds",
    "quarantined",
    "instability",
    "asr",
    "problem",
    "close_reason",
    "expected",
    "missing_honest",
    "missing_hostile",
    "hostile_share",
)


class CloseReason(enum.StrEnum):
    """Why a round took no more updates, as the aggregator says."""

    THRESHOLD = "threshold"
    EVERYONE_HEARD = "everyone_heard"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class HistoryRow:
    """The global model after a round.

    Attributes:
        round: 0 is the model before any round.
        accuracy: share of the held-out samples classified correctly, 0 to 1.
        loss: mean cross entropy in nats; inf for outputs beyond float32, nan for outputs that are
            no numbers.
        updates: updates taken in.
        rejected: participants whose update was refused.
        seconds: from the opening of the round to the end of the test.
        quarantined: participants whose update the audit kept from the rule.
        asr: attack success rate: share of the triggered test samples, of other classes than the
            target, that are classified as the target; None without a backdoor.
        problem: what went wrong, for people: why the round kept the model it began with, or why the
            model could not be tested; empty if nothing did.
        close_reason: why the round took no more updates; None for round 0 and in older results.
        expected: participants that were scheduled; None likewise, as all that follow.
        missing_honest: scheduled honest participants whose update was neither taken in nor refused.
        missing_hostile: the same of hostile participants.
        hostile_share: share of the updates given to the rule that hostile participants sent, 0 to
            1; None also where the rule was given none.
    """

    round: int
    accuracy: float
    loss: float
    updates: int
    rejected: int
    seconds: float
    quarantined: int = 0
    asr: float | None = None
    problem: str = ""
    close_reason: CloseReason | None = None
    expected: int | None = None
    missing_honest: int | None = None
    missing_hostile: int | None = None
    hostile_share: float | None = None

    @property
    def incomplete(self) -> bool:
        """Whether honest updates were missing, so that the attack had more than its share."""
        return bool(self.missing_honest)

    @property
    def destroyed(self) -> bool:
        """Whether the model's outputs are NaN, so that it names no class."""
        return math.isnan(self.loss) and not math.isnan(self.accuracy)

    @property
    def accuracy_text(self) -> str:
        """The accuracy for people: ``93.2%``, or ``destroyed``."""
        return "destroyed" if self.destroyed else f"{self.accuracy:.1%}"


def to_columns(row: HistoryRow, before: Sequence[HistoryRow]) -> tuple[object, ...]:
    """Spell a row as ``HEADER`` says.

    Args:
        row: the row.
        before: the rows before it, for the instability, which is that of the accuracy over the last
            ten rounds: ``fedsiege.metrics.instability``.
    """
    return (
        row.round,
        row.accuracy,
        row.loss,
        row.updates,
        row.rejected,
        round(row.seconds, 6),
        row.quarantined,
        instability_after([*before, row]),
        row.asr,
        row.problem,
        row.close_reason,
        row.expected,
        row.missing_honest,
        row.missing_hostile,
        row.hostile_share,
    )


def instability_after(rows: Sequence[HistoryRow]) -> float | None:
    """Return the instability after the last of these rows; the model before any is none of them."""
    return instability([row.accuracy for row in rows if row.round > 0])
