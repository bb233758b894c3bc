"""The change of the accuracy over a run, and the cost of its attack."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from fedsiege.metrics import attack_impact
from fedsiege.results.history import HistoryRow


@dataclass(frozen=True)
class Change:
    """How the accuracy of one run changed; says nothing of what its attack cost.

    Attributes:
        before: accuracy before any round, 0 to 1.
        after: accuracy after the last round.
        lowest: the lowest accuracy of all.
        lowest_round: the first round in which it was that low.
    """

    before: float
    after: float
    lowest: float
    lowest_round: int

    @property
    def points(self) -> float:
        """Change since the start in percentage points, negative for a loss."""
        return 100 * (self.after - self.before)

    @classmethod
    def of(cls, rows: Sequence[HistoryRow]) -> Self:
        """Compute it from the history, round 0 first; at least that row."""
        lowest = min(rows, key=lambda row: row.accuracy)
        return cls(rows[0].accuracy, rows[-1].accuracy, lowest.accuracy, lowest.round)


@dataclass(frozen=True)
class Cost:
    """The cost of an attack: the accuracy of the clean twin minus that of the attacked run.

    The clean twin is the same experiment without the attack. Only the rounds that both runs have
    count.

    Attributes:
        points: percentage points lost in the last of those rounds; negative if some were gained.
        round: that round.
        clean: accuracy of the clean twin after it, 0 to 1.
        most: the most percentage points lost in any round.
        most_round: the first round in which it was that much.
        half_lost: the round from which on, to the last one, at least half of what the clean twin
            has above chance was lost. None if that is not so in the last round, or if the clean
            twin has nothing above chance there.
    """

    points: float
    round: int
    clean: float
    most: float
    most_round: int
    half_lost: int | None

    @classmethod
    def of(
        cls, attacked: Sequence[HistoryRow], clean: Sequence[HistoryRow], chance: float
    ) -> Self | None:
        """Compute it; None if the two have no round in common after round 0.

        Args:
            attacked: the history of the attacked run, round 0 first.
            clean: the history of its clean twin, likewise.
            chance: accuracy of random guessing, 0 to 1.
        """
        both = list(zip(attacked, clean, strict=False))
        if len(both) < 2:
            return None
        impact = attack_impact([one.accuracy for _, one in both], [one.accuracy for one, _ in both])
        worst = max(range(len(impact)), key=impact.__getitem__)
        half_lost = None
        for row, twin in reversed(both):
            gained = twin.accuracy - chance
            if gained <= 0 or twin.accuracy - row.accuracy < gained / 2:
                break
            half_lost = row.round
        last, last_clean = both[-1]
        return cls(
            points=100 * impact[-1],
            round=last.round,
            clean=last_clean.accuracy,
            most=100 * impact[worst],
            most_round=both[worst][0].round,
            half_lost=half_lost,
        )
