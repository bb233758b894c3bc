"""A run as data frames: what ``fedsiege.run`` and ``fedsiege.load`` return."""

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsiege.errors import MissingData
from fedsiege.experiment.knowledge import Knowledge
from fedsiege.results.confusion import ClassRow, ConfusionRow
from fedsiege.results.detection import DetectionRow
from fedsiege.results.history import HistoryRow
from fedsiege.results.infrastructure import ContainerRow, FaultRow, IntrusionRow
from fedsiege.results.participants import ParticipantRow, VerdictRow
from fedsiege.results.record import Record
from fedsiege.results.report import RunReport
from fedsiege.results.run_info import RunInfo
from fedsiege.results.run_records import find_run, read_history, read_spec, reading
from fedsiege.results.summary import summary
from fedsiege.results.table import read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from torch import Tensor


class Run:
    """A run that has ended, or is under way: its settings and its results.

    Each table of its folder is a pandas data frame that is read when it is first asked for, and
    kept. A table that the run did not write is a data frame without rows. ``docs/results.md``
    describes the columns.

    Args:
        path: the results folder.

    Attributes:
        path: the results folder.
        spec: the settings, resolved; ``fedsiege.run(run.spec)`` runs them again.
        info: what the run was: state, versions, command, notes.

    Raises:
        InvalidValue: the folder holds no results, or none of this version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.spec = read_spec(self.path)
        with reading(self.path):
            self.info = RunInfo.read(self.path)
            self._rows = read_history(self.path)

    @cached_property
    def history(self) -> "DataFrame":
        """``history.csv``: the rounds; row 0 is the model before any."""
        return HistoryRow.frame(self._rows)

    @cached_property
    def participants(self) -> "DataFrame":
        """``participants.csv``: each participant in each round."""
        return self._frame(ParticipantRow)

    @cached_property
    def verdicts(self) -> "DataFrame":
        """``detectors.csv``: the score of each participant in each round, by each detector."""
        return self._frame(VerdictRow)

    @cached_property
    def detection(self) -> "DataFrame":
        """``detection.csv``: the flags of each detector in each round, compared with the truth."""
        return self._frame(DetectionRow)

    @cached_property
    def classes(self) -> "DataFrame":
        """``classes.csv``: the recall of each class after each round that was tested."""
        return self._frame(ClassRow)

    @cached_property
    def confusion(self) -> "DataFrame":
        """``confusion.csv``: the samples of each pair of true and predicted class, by round."""
        return self._frame(ConfusionRow)

    @cached_property
    def containers(self) -> "DataFrame":
        """``containers.csv``: processor time and memory of each container, by second."""
        return self._frame(ContainerRow)

    @cached_property
    def faults(self) -> "DataFrame":
        """``faults.csv``: the faults that were made."""
        return self._frame(FaultRow)

    @cached_property
    def intrusions(self) -> "DataFrame":
        """``intrusions.csv``: the intrusions that were tried, and what came of them."""
        return self._frame(IntrusionRow)

    def _frame(self, record: type[Record]) -> "DataFrame":
        """Read a table.

        Raises:
            InvalidValue: it is damaged.
        """
        with reading(self.path):
            return record.frame(row for _, row in read_table(self.path / record.file, record))

    @cached_property
    def _report(self) -> RunReport:
        """The figures, with those of the clean twin where one is beside the run."""
        return RunReport.of(self.path, RunReport.target)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The final figures by name; shares from 0 to 1, None where one is not defined.

        ``pandas.DataFrame([run.summary for run in runs])`` compares runs. ``rule_tpr`` and
        ``rule_fpr`` are there for a rule that leaves updates out, and likewise for each detector:
        means over the rounds.
        """
        report = self._report
        change, cost = report.change, report.cost
        return {
            "state": None if self.info.state is None else str(self.info.state),
            "rounds": self._rows[-1].round,
            "accuracy": change.after,
            "accuracy_before": change.before,
            "accuracy_lowest": change.lowest,
            "accuracy_clean": None if cost is None else cost.clean,
            "cost_points": None if cost is None else cost.points,
            "asr": self._rows[-1].asr,
            "loss": self._rows[-1].loss,
            "instability": report.instability,
            "rounds_to_target": report.rounds_to_target,
            "rounds_incomplete": len(report.incomplete),
            "rounds_gone_wrong": len(report.troubled),
            "seconds": self.info.seconds,
            **{
                f"{one.detector}_{figure}": getattr(one.worth, figure)
                for one in report.detectors
                for figure in ("tpr", "fpr")
            },
        }

    @cached_property
    def weights(self) -> "dict[str, Tensor]":
        """``model.safetensors``: the last global model, each tensor by its name.

        Raises:
            MissingData: the run has not written it, or it is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.path / "model.safetensors"
        try:
            tensors: dict[str, Tensor] = load_file(path)
        except FileNotFoundError as error:
            raise MissingData(f"{path} does not exist: the run has not finished") from error
        except SafetensorError as error:
            raise MissingData(f"{path} is damaged: {error}") from error
        return tensors

    def plot(self) -> "Figure":
        """Draw accuracy, attack success rate and loss over the rounds.

        A notebook shows the figure; ``run.plot().savefig("run.png")`` writes it into a file.
        """
        from fedsiege.results.plots.accuracy import history_figure
        from fedsiege.results.plots.heading import heading

        tested = self.classes
        samples = tested.loc[tested["round"] == tested["round"].max(), "samples"].tolist()
        knowledge = self.info.knowledge or Knowledge.of(self.spec)
        return history_figure(self._rows, *heading(self.spec, knowledge), class_samples=samples)

    def __repr__(self) -> str:
        spec, last = self.spec, self._rows[-1]
        attack = f"{spec.attack:.0%} {spec.attack_name}" if spec.attack else "no attack"
        return (
            f"<Run {self.path}: {spec.rule} against {attack}, round {last.round} of {spec.rounds}, "
            f"accuracy {last.accuracy_text}>"
        )

    def _repr_html_(self) -> str:
        """Return a table of the settings and the figures, for notebooks."""
        spec = self.spec
        attack = f"{spec.attack_name}, {spec.attack:.0%} hostile" if spec.attack else "none"
        lines = {
            "run": str(self.path),
            "state": self.summary["state"],
            "rule": spec.rule,
            "attack": attack,
            **summary(self._report),
        }
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in lines.items()
            if text
        )
        return f"<table>{rows}</table>"


def load(path: str | Path) -> Run:
    """Read the results of a run.

    Args:
        path: a results folder, or the name of one in ``runs``.

    Raises:
        InvalidValue: there is no such folder, or it holds no results of this version; the error
            names the nearest.
    """
    return Run(find_run("RUN", str(path), Path("runs")))
