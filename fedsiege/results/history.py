"""``history.csv``: the global model after each round."""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

from fedsiege.metrics import instability
from fedsiege.results.record import Column, Record, fixed, percent, rounded, whole


class CloseReason(enum.StrEnum):
    """Why a round took no more updates, as the aggregator reports it."""

    THRESHOLD = "threshold"
    EVERYONE_HEARD = "everyone_heard"
    DEADLINE = "deadline"


def _points(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


@dataclass(frozen=True)
class HistoryRow(Record):
    """The global model after a round; row 0 is the model before any."""

    file: ClassVar[str] = "history.csv"

    round: Annotated[int, Column("Number of the round; 0 before any.", on_screen=whole)]
    accuracy: Annotated[
        float, Column("Share of the held-out samples classified correctly, 0 to 1.")
    ]
    loss: Annotated[
        float,
        Column(
            "Mean cross entropy in nats; inf for outputs beyond float32, nan for outputs that are "
            "not numbers.",
        ),
    ]
    updates: Annotated[int, Column("Updates taken in.", on_screen=whole)]
    rejected: Annotated[int, Column("Participants whose update was refused.")]
    seconds: Annotated[
        float,
        Column(
            "Seconds from the opening of the round to the end of the test.",
            on_screen=fixed(2),
            in_file=rounded(6),
        ),
    ]
    quarantined: Annotated[
        int, Column("Participants whose update the audit kept from the rule.")
    ] = 0
    instability: Annotated[
        float | None,
        Column(
            "Standard deviation of the accuracy over the last ten rounds, 0 to 0.5; empty before "
            "round 2.",
            on_screen=_points,
        ),
    ] = None
    asr: Annotated[
        float | None,
        Column(
            "Attack success rate, 0 to 1: share of the triggered test samples, of other classes "
            "than the target, that are classified as the target; empty without a backdoor.",
            heading="ASR",
            on_screen=percent(1),
        ),
    ] = None
    problem: Annotated[
        str,
        Column(
            "What went wrong: why the round kept the model it began with, or why the model could "
            "not be tested; empty if nothing did.",
            heading="wrong",
            on_screen=lambda problem: "!" if problem else "",
        ),
    ] = ""
    close_reason: Annotated[
        CloseReason | None,
        Column(
            "Why the round took no more updates: threshold, everyone_heard or deadline; empty for "
            "round 0.",
            on_screen=None,
        ),
    ] = None
    expected: Annotated[
        int | None,
        Column("Participants that were scheduled; empty for round 0.", on_screen=None),
    ] = None
    missing_honest: Annotated[
        int | None,
        Column(
            "Scheduled honest participants whose update was neither taken in nor refused; empty "
            "for round 0.",
            heading="missing",
        ),
    ] = None
    missing_hostile: Annotated[
        int | None, Column("The same of hostile participants.", on_screen=None)
    ] = None
    hostile_share: Annotated[
        float | None,
        Column(
            "Share of the updates given to the rule that hostile participants sent, 0 to 1; empty "
            "where the rule was given none.",
            heading="hostile",
            on_screen=percent(0),
        ),
    ] = None
    epsilon: Annotated[
        float | None,
        Column(
            "Privacy budget spent by all rounds so far together: the epsilon of differential "
            "privacy for the participant that spent most, at the delta of PRIVACY or of the rule "
            "dp-fedavg; empty without either.",
        ),
    ] = None

    @property
    def incomplete(self) -> bool:
        """Whether honest updates were missing, so that the attack had more than its share."""
        return bool(self.missing_honest)

    @property
    def destroyed(self) -> bool:
        """Whether the model's outputs are NaN, so that it predicts no class."""
        return math.isnan(self.loss) and not math.isnan(self.accuracy)

    @property
    def accuracy_text(self) -> str:
        """The accuracy as text: ``93.2%``, or ``destroyed``."""
        return "destroyed" if self.destroyed else f"{self.accuracy:.1%}"

    def after(self, before: Sequence["HistoryRow"]) -> Self:
        """Return the row with the columns that follow from the rows before it.

        Args:
            before: the rows before this one, round 0 first. Round 0 does not count for the
                instability: see ``fedsiege.metrics.instability``.
        """
        accuracies = [row.accuracy for row in before if row.round > 0]
        if self.round > 0:
            accuracies.append(self.accuracy)
        return replace(self, instability=instability(accuracies))
