"""What one cell of a grid showed, in figures."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedsiege.grids.grid import Cell
from fedsiege.results import Run
from fedsiege.results.detection import RULE
from fedsiege.results.report import DetectorReport, detector_reports, knowledge
from fedsiege.results.run import table_rows

#: Rounds at the end of a run over which the accuracy is averaged.
LAST = 3


@dataclass(frozen=True)
class CellFigures:
    """What one cell showed.

    Attributes:
        labels: the label on each axis.
        accuracy: mean over the last ``LAST`` rounds, 0 to 1.
        final: accuracy after the last round.
        lowest: the lowest accuracy of all.
        seconds: all rounds together.
        benign: benign participants that took part.
        hostile: hostile participants that took part.
        intrusions: for each way to get in that was tried: tried, succeeded, successes a second.
        tpr: share of the hostile updates that the rule gave no weight, mean over the rounds; None
            without any, and for rules that accuse no participant: see ``results.detection``.
        fpr: the same of the benign updates.
        asr: attack success rate after the last round; None where the attack has no target.
        knowledge: the level of what the attack may see; empty without an attack.
        versions: what computed it, as its spec.yaml says.
        detectors: how the rule, the audit and each of its detectors did over the run.
        incomplete_rounds: rounds that were closed without all honest updates; None in older
            results, which do not say.
        destroyed: whether the model was destroyed, its outputs NaN, in any of the rounds that
            ``accuracy`` is the mean of.
    """

    labels: tuple[str, ...]
    accuracy: float
    final: float
    lowest: float
    seconds: float
    benign: int
    hostile: int
    intrusions: Mapping[str, tuple[int, int, float]]
    tpr: float | None = None
    fpr: float | None = None
    asr: float | None = None
    knowledge: str = ""
    versions: str = ""
    detectors: tuple[DetectorReport, ...] = ()
    incomplete_rounds: int | None = None
    destroyed: bool = False

    @property
    def worth(self) -> float:
        """What the attack leaves, 0 to 1: the accuracy, or what does not fall for its trigger.

        A model with a backdoor is as accurate as any; that is what makes it dangerous. Of one that
        is destroyed nothing is left, however its outputs are counted.
        """
        if self.destroyed:
            return 0.0
        succeeds = self.asr if self.hostile else None  # without an attack it is a base rate
        return self.accuracy if succeeds is None else min(self.accuracy, 1 - succeeds)

    @classmethod
    def read(cls, cell: Cell, folder: Path) -> "CellFigures":
        """Read the results of a cell."""
        run = Run.read(folder)
        accuracies = [row.accuracy for row in run.history]
        last = run.history[1:][-LAST:] or run.history
        told = any(row.missing_honest is not None for row in run.history)
        took_part: dict[str, set[str]] = {"true": set(), "false": set()}
        for row in table_rows(folder / "participants.csv"):
            if row["outcome"] not in ("missing", "not_scheduled"):
                took_part[row["hostile"]].add(row["index"])
        intrusions = {
            row["intrusion"]: (int(row["tried"]), int(row["succeeded"]), float(row["per_second"]))
            for row in table_rows(folder / "intrusions.csv")
        }
        detectors = tuple(detector_reports(run))
        rule = next((one.worth for one in detectors if one.detector == RULE), None)
        return cls(
            cell.labels,
            statistics.fmean(row.accuracy for row in last),
            accuracies[-1],
            min(accuracies),
            sum(row.seconds for row in run.history[1:]),
            len(took_part["false"]),
            len(took_part["true"]),
            intrusions,
            None if rule is None else rule.tpr,
            None if rule is None else rule.fpr,
            run.history[-1].asr,
            knowledge(run.spec)[0] if run.spec.attack else "",
            _versions(folder),
            detectors,
            sum(row.incomplete for row in run.history) if told else None,
            any(row.destroyed for row in last),
        )


def _versions(folder: Path) -> str:
    """Return the line of a run's spec.yaml that says what computed it."""
    lines = (folder / "spec.yaml").read_text().splitlines()
    return next((line[2:] for line in lines if line.startswith("# fedsiege ")), "")
