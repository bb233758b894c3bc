"""What a run shows, in figures."""

import contextlib
import math
import re
import shlex
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.metrics import Detection, Discovery, attack_impact, rounds_to_target
from fedsiege.results import Change, Confusion, Cost, DetectionRow, HistoryRow, Run
from fedsiege.results.history import instability_after
from fedsiege.results.invocation import program, shortened
from fedsiege.results.run import is_run, read_spec

#: Settings in which an attacked run may differ from the clean one that it is compared with.
OF_THE_ATTACK = frozenset({"name", "attack", "attack_name", "scale", "intrusions", "leaked"})
_UNATTACKED = re.compile(r"^attack: 0(\.0)?$", re.MULTILINE)


@dataclass(frozen=True)
class DetectorReport:
    """How a detector did over a run.

    Attributes:
        detector: its name, ``rule``, ``selection`` or ``audit``; see ``results.detection``.
        worth: each figure as its mean over the rounds in which it is defined.
        discovery: how soon it found hostile participants out; None without any.
    """

    detector: str
    worth: Detection
    discovery: Discovery | None


@dataclass(frozen=True, eq=False)
class RunReport:
    """A run, and what follows from it.

    Args:
        run: the results.
        target: accuracy for the rounds to target, above 0, at most 1.
        clean: the same without its attack; None if there is none.

    Raises:
        InvalidValue: no such target, or the clean run is under attack itself.
    """

    run: Run
    target: float = 0.9
    clean: Run | None = None

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
        run = Run.read(path)
        if clean is not None:
            return cls(run, target, Run.read(clean))
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
        return instability_after(self.run.history)

    @property
    def troubled(self) -> list[HistoryRow]:
        """The rounds in which something went wrong: their accuracy says nothing of the rule."""
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
        """How often the clean model, too, does what the attacker wants, 0 to 1; None if unknown."""
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
        """Settings, but for those of the attack, in which the clean run is another one."""
        return [] if self.clean is None else _differences(self.run.spec, self.clean.spec)

    @property
    def last_test(self) -> tuple[int, Confusion] | None:
        """The last round that was tested by class, and its test."""
        return max(self.run.tests.items(), default=None, key=lambda item: item[0])

    @property
    def detectors(self) -> list[DetectorReport]:
        """How each detector did, in the order of ``detection.csv``."""
        return detector_reports(self.run)

    def to_json(self) -> dict[str, Any]:
        """Spell everything for programs; what is not defined, or not finite, is null."""
        run, change, cost = self.run, self.change, self.cost
        counts, impact, clean = self.last_test, self.impact, self.clean_accuracies
        spelled: dict[str, Any] = _finite(
            {
                "run": str(run.path),
                "spec": run.spec.model_dump(),
                "knowledge": knowledge(run.spec)[0],
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
                        **vars(row),
                        "incomplete": row.incomplete,
                        "destroyed": row.destroyed,
                        "instability": instability_after(run.history[: place + 1]),
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


def detector_reports(run: Run) -> list[DetectorReport]:
    """Return how each detector did over a run, in the order of ``detection.csv``."""
    by_name: dict[str, list[DetectionRow]] = {}
    for row in run.detections:
        by_name.setdefault(row.detector, []).append(row)
    return [
        DetectorReport(name, _mean_worth(rows), run.discoveries.get(name))
        for name, rows in by_name.items()
    ]


def knowledge(spec: ExperimentSpec) -> tuple[str, str]:
    """Return what the attack of a run may see: the level and what it means.

    A run of another version may name an attack that this one does not have: "unknown".
    """
    if not spec.attack:
        return "none", "there is no attack"
    from fedsiege import attacks  # brings torch

    try:
        level = attacks.parse(spec.attack_name).knows
    except InvalidValue as error:
        return "unknown", str(error)
    return level.name.lower(), level.value


def clean_twin(run: Run) -> Run | None:
    """Look beside a run for the same without its attack; of several, the one with most rounds."""
    found = []
    for path in sorted(run.path.resolve().parent.iterdir()):
        # Reading all settings of hundreds of runs takes seconds; a look at one line does not.
        if is_run(path) and _UNATTACKED.search((path / "spec.yaml").read_text(errors="replace")):
            # One of another version, or without any rounds yet, is not it.
            with contextlib.suppress(InvalidValue):
                if not _differences(run.spec, read_spec(path)):
                    found.append(Run.read(path))

    def worth(twin: Run) -> tuple[int, bool, str]:  # with the same target it has the base rate
        same = twin.spec.attack_name == run.spec.attack_name
        return len(twin.history), same, twin.path.name

    return max(found, default=None, key=worth)


def clean_command(run: Run) -> str:
    """Return the command that makes the clean twin of a run, beside it, to be typed here."""
    return shlex.join([*program(), "sim", *clean_options(run)])


def clean_options(run: Run) -> list[str]:
    """Return the options of ``sim`` that make the clean twin of a run, beside it."""
    spec = shortened(run.path / "spec.yaml")
    out = shortened(run.path.with_name(f"{run.path.name}-clean"))
    options = [f"--spec={spec}", "--attack=0", f"--out={out}"]
    if run.spec.intrusions:  # without hostile participants there is none to try them
        options.append("--intrusions=")
    return options


def _differences(one: ExperimentSpec, other: ExperimentSpec) -> list[str]:
    ours, theirs = one.model_dump(), other.model_dump()
    return [key for key in ours if key not in OF_THE_ATTACK and ours[key] != theirs[key]]


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
