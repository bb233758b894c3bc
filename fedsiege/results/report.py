"""The figures that follow from a run."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fedsiege.errors import InvalidValue
from fedsiege.metrics import Detection, Discovery, attack_impact, rounds_to_target
from fedsiege.results.confusion import Confusion
from fedsiege.results.cost import Change, Cost, clean_twin, differences
from fedsiege.results.detection import DetectionRow
from fedsiege.results.history import HistoryRow
from fedsiege.results.run_records import RunRecords


@dataclass(frozen=True)
class DetectorReport:
    """The figures of a detector over a run.

    Attributes:
        detector: its name, ``rule``, ``selection`` or ``audit``; see ``results.detection``.
        worth: each figure as its mean over the rounds in which it is defined.
        discovery: how soon it found hostile participants; None without any.
    """

    detector: str
    worth: Detection
    discovery: Discovery | None


@dataclass(frozen=True, eq=False)
class RunReport:
    """A run, and the figures that follow from it.

    Args:
        run: the results.
        target: accuracy for the rounds to target, above 0, at most 1.
        clean: the same without its attack; None if there is none.

    Raises:
        InvalidValue: no such target, or the clean run is under attack itself.
    """

    run: RunRecords
    target: float = 0.9
    clean: RunRecords | None = None

    def __post_init__(self) -> None:
        rounds_to_target([], self.target)
        if self.clean is not None and self.clean.spec.attack:
            allowed = f"a run without an attack; its ATTACK is {self.clean.spec.attack:g}"
            raise InvalidValue("CLEAN", str(self.clean.path), allowed)

    @classmethod
    def of(cls, path: Path, target: float, clean: Path | None = None) -> Self:
        """Read a run, and the clean one: the one named, else the one found beside it.

        Raises:
            InvalidValue: as this class; also a folder that holds no results.
        """
        run = RunRecords.read(path)
        if clean is not None:
            return cls(run, target, RunRecords.read(clean))
        return cls(run, target, clean_twin(run) if run.spec.attack else None)

    @property
    def change(self) -> Change:
        """How the accuracy changed."""
        return Change.of(self.run.history)

    @property
    def chance(self) -> float:
        """Accuracy of random guessing, 0 to 1: one divided by the number of classes."""
        return 1 / len(self.last_test[1].samples) if self.last_test else 0.0

    @property
    def cost(self) -> Cost | None:
        """The cost of the attack against the clean twin; None without one."""
        if self.clean is None:
            return None
        return Cost.of(self.run.history, self.clean.history, self.chance)

    @property
    def instability(self) -> float | None:
        """Standard deviation of the accuracy over the last ten rounds."""
        return self.run.history[-1].instability

    @property
    def troubled(self) -> list[HistoryRow]:
        """The rounds with a problem: their accuracy says nothing about the rule."""
        return [row for row in self.run.history if row.problem]

    @property
    def incomplete(self) -> list[HistoryRow]:
        """The rounds that closed without all honest updates: the attack had more than its share."""
        return [row for row in self.run.history if row.incomplete]

    @property
    def rounds_to_target(self) -> int | None:
        """Rounds until the accuracy first reached the target; None if it never did."""
        return rounds_to_target([row.accuracy for row in self.run.history], self.target)

    @property
    def clean_accuracies(self) -> list[float]:
        """Accuracy without the attack, of the rounds that both runs have; from round 0 on."""
        rows = () if self.clean is None else self.clean.history
        return [row.accuracy for row in rows[: len(self.run.history)]]

    @property
    def base_rate(self) -> float | None:
        """The attack success rate of the clean twin, 0 to 1; None if unknown."""
        clean = self.clean
        same = clean is not None and clean.spec.attack_name == self.run.spec.attack_name
        return clean.history[-1].asr if clean is not None and same else None

    @property
    def impact(self) -> list[float]:
        """Clean minus attacked accuracy, of the rounds that both runs have; from round 0 on."""
        clean = self.clean_accuracies
        return attack_impact(clean, [row.accuracy for row in self.run.history[: len(clean)]])

    @property
    def differences(self) -> list[str]:
        """Settings, except those of the attack, in which the clean run differs."""
        return [] if self.clean is None else differences(self.run.spec, self.clean.spec)

    @property
    def last_test(self) -> tuple[int, Confusion] | None:
        """The last round that was tested by class, and its test."""
        return max(self.run.tests.items(), default=None, key=lambda item: item[0])

    @property
    def detectors(self) -> list[DetectorReport]:
        """The figures of each detector, in the order of ``detection.csv``."""
        return detector_reports(self.run)

    def to_json(self) -> dict[str, Any]:
        """Return all figures for JSON; what is not defined, or not finite, is null."""
        run, change, cost = self.run, self.change, self.cost
        counts, impact, clean = self.last_test, self.impact, self.clean_accuracies
        spelled: dict[str, Any] = _finite(
            {
                "run": str(run.path),
                "spec": run.spec.model_dump(),
                "info": run.info.model_dump(mode="json"),
                "knowledge": run.knowledge.level if run.knowledge else "none",
                "accuracy": {
                    "before": change.before,
                    "after": change.after,
                    "change_points": change.points,
                    "lowest": change.lowest,
                    "lowest_round": change.lowest_round,
                    "chance": self.chance,
                },
                "cost": None if cost is None else vars(cost),
                "loss": run.history[-1].loss,
                "asr": run.history[-1].asr,
                "base_rate": self.base_rate,
                "instability": self.instability,
                "rounds_gone_wrong": len(self.troubled),
                "rounds_incomplete": len(self.incomplete),
                "target": self.target,
                "rounds_to_target": self.rounds_to_target,
                "clean": None if self.clean is None else str(self.clean.path),
                "differences": self.differences,
                "impact": impact[-1] if impact else None,
                "class_samples": None if counts is None else counts[1].samples.tolist(),
                "confusion": None if counts is None else counts[1].counts.tolist(),
                "detectors": [
                    {
                        "detector": one.detector,
                        **vars(one.worth),
                        "rounds_to_detection": one.discovery and one.discovery.median,
                        "never_detected": one.discovery and one.discovery.never,
                    }
                    for one in self.detectors
                ],
                "rounds": [
                    {
                        **row.to_json(),
                        "incomplete": row.incomplete,
                        "destroyed": row.destroyed,
                        "clean": clean[place] if place < len(clean) else None,
                        "impact": impact[place] if place < len(impact) else None,
                        "recall": run.tests[row.round].recall if row.round in run.tests else None,
                        "detection": {
                            one.detector: vars(one.worth)
                            for one in run.detections
                            if one.round == row.round
                        },
                    }
                    for place, row in enumerate(run.history)
                ],
            }
        )
        return spelled


def detector_reports(run: RunRecords) -> list[DetectorReport]:
    """Return the figures of each detector over a run, in the order of ``detection.csv``."""
    by_name: dict[str, list[DetectionRow]] = {}
    for row in run.detections:
        by_name.setdefault(row.detector, []).append(row)
    return [
        DetectorReport(name, _mean_worth(rows), run.discoveries.get(name))
        for name, rows in by_name.items()
    ]


def _mean_worth(rows: Iterable[DetectionRow]) -> Detection:
    worths = [vars(row.worth) for row in rows]
    means = {}
    for figure in worths[0]:
        defined = [worth[figure] for worth in worths if worth[figure] is not None]
        means[figure] = statistics.fmean(defined) if defined else None
    return Detection(**means)


def _finite(value: Any) -> Any:  # whatever JSON can be made of
    """Put None in the place of numbers that JSON cannot spell."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
