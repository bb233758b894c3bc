"""``history.csv``: the global model after each round."""

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
)


@dataclass(frozen=True)
class HistoryRow:
    """The global model after a round.

    Attributes:
        round: 0 is the model before any round.
        accuracy: share of the held-out samples classified correctly, 0 to 1.
        loss: mean cross entropy in nats; inf or nan for a destroyed model.
        updates: updates taken in.
        rejected: participants whose update was refused.
        seconds: from the opening of the round to the end of the test.
        quarantined: participants whose update the audit kept from the rule.
        asr: attack success rate: share of the triggered test samples, of other classes than the
            target, that are classified as the target; None without a backdoor.
        problem: what went wrong, for people: why the round kept the model it began with, or why the
            model could not be tested; empty if nothing did.
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
    )


def instability_after(rows: Sequence[HistoryRow]) -> float | None:
    """Return the instability after the last of these rows; the model before any is none of them."""
    return instability([row.accuracy for row in rows if row.round > 0])
