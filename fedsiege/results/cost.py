"""The change of the accuracy over a run, and the cost of its attack against its clean twin.

The clean twin of a run is the same experiment without the attack.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fedsiege.errors import InvalidValue
from fedsiege.experiment.settings import marked
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.metrics import attack_impact
from fedsiege.results.history import HistoryRow
from fedsiege.results.run_info import RunInfo
from fedsiege.results.run_records import RunRecords, is_run, read_spec


@dataclass(frozen=True)
class Change:
    """The change of the accuracy over one run; it does not tell what the attack cost.

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

    Only the rounds that both runs have count.

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


def clean_twin(run: RunRecords) -> RunRecords | None:
    """Find the clean twin of a run: among the runs beside it, and where ``run.json`` says it is.

    Of several, the one with most rounds counts, then one with the same target of the attack, as it
    tells the base rate.
    """
    paths = sorted(run.path.resolve().parent.iterdir())
    if run.info.clean_twin:
        paths.append((run.path / run.info.clean_twin).resolve())
    found = []
    for path in filter(is_run, dict.fromkeys(paths)):
        # A run of another version, or without any rounds yet, is not the twin.
        with contextlib.suppress(InvalidValue):
            # Validating the settings of hundreds of runs takes seconds, run.json does not.
            if RunInfo.read(path).knowledge is not None:
                continue
            spec = read_spec(path)
            if not spec.attack and not differences(run.spec, spec):
                found.append(RunRecords.read(path))

    def worth(twin: RunRecords) -> tuple[int, bool, Path]:
        same = twin.spec.attack_name == run.spec.attack_name
        return len(twin.history), same, twin.path

    return max(found, default=None, key=worth)


def differences(one: ExperimentSpec, other: ExperimentSpec) -> list[str]:
    """Return the settings, except those of the attack and the name, in which two differ."""
    left_out = {"name", *marked(type(one), "of_attack")}
    ours, theirs = one.model_dump(exclude=left_out), other.model_dump(exclude=left_out)
    return [key for key in ours if ours[key] != theirs[key]]
