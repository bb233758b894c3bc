"""``fedsiege show``: a run's figures as a page to read, or as JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fedsiege.cli.command import single
from fedsiege.cli.history_table import history_table
from fedsiege.cli.invocation import clean_command
from fedsiege.cli.screen import Screen
from fedsiege.cli.screen_table import ScreenTable
from fedsiege.cli.spec_rows import spec_rows
from fedsiege.cli.wrapped import Wrapped
from fedsiege.results import Confusion, RunState
from fedsiege.results.detection import SELECTION
from fedsiege.results.report import RunReport
from fedsiege.results.run_records import find_run
from fedsiege.results.summary import summary

_BAR = 30
#: How tables look; most fit into a window of 80.
_STYLE: dict[str, Any] = {
    "box": box.SIMPLE_HEAD,
    "show_edge": False,
    "pad_edge": False,
    "padding": (0, 1, 0, 0),
}


def show(
    run_name: Annotated[
        str, typer.Argument(metavar="RUN", help="A results folder, or the name of one in RUNS.")
    ],
    target: Annotated[float, typer.Option(help="Accuracy for the rounds to target.")] = 0.9,
    clean: Annotated[
        str | None,
        typer.Option(help="The same run without its attack.", show_default="looked for beside it"),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where results folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show what a run did to the model, and which participants were found out."""
    run(run_name, target, clean, as_json, runs, Screen())


def run(
    name: str, target: float, clean: str | None, as_json: bool, runs: Path, screen: Screen
) -> None:
    """Show a run.

    Args:
        name: its folder, or what the folder is called in ``runs``.
        target: accuracy for the rounds to target.
        clean: the same run without its attack, likewise; None to look for it beside the run.
        as_json: print JSON instead of a page.
        runs: where results folders are.
        screen: where to show it.

    Raises:
        InvalidValue: no such run, or no such target.
    """
    path = find_run("RUN", name, runs)
    report = RunReport.of(path, target, None if clean is None else find_run("CLEAN", clean, runs))
    if as_json:
        text = json.dumps(report.to_json(), indent=2, allow_nan=False, ensure_ascii=False)
        screen.console.print(Text(text), soft_wrap=True)
        return
    for part in page(report):
        screen.console.print(part)
        screen.console.print()
    if report.run.spec.attack and report.clean is None:
        screen.say("For the cost of the attack, run the same without it:")
        # on one line however narrow the window is: commands are copied
        screen.console.print(Text(clean_command(report.run)), soft_wrap=True)


def page(report: RunReport) -> Iterable[Group]:
    """Lay a report out, part by part."""
    yield _headed(f"Run {report.run.path}", _settings(report))
    yield _headed("Accuracy", _accuracy(report))
    yield _headed("Rounds", _rounds(report))
    if report.last_test is not None:
        number, tested = report.last_test
        names = report.run.info.class_names
        yield _headed(f"Recall of each class after round {number}", _recall(tested, names))
        yield _headed(
            f"Samples after round {number}: true class down, predicted class across",
            _confusion(tested, names),
        )
    if report.detectors:
        yield _headed("Detection, mean over the rounds", _detectors(report))


def _settings(report: RunReport) -> Table:
    """Return the settings, and the state of a run that did not finish."""
    run, info = report.run, report.run.info
    ended = "" if info.state in (None, RunState.FINISHED) else f"{info.state} {info.reason}"
    rows = spec_rows(run.spec, run.knowledge, info.initial_weights)
    plugins = "\n".join(map(str, info.plugins))
    return _pairs({**rows, "plug-ins": plugins, "state": ended.strip()})


def _accuracy(report: RunReport) -> Table:
    """Return the figures of the accuracy over the run."""
    unstable = report.instability
    return _pairs(
        {
            **summary(report),
            "loss at the end": f"{report.run.history[-1].loss:.4g} nats",
            "instability": ""
            if unstable is None
            else f"{100 * unstable:.2f} points, standard deviation over the last ten rounds",
            f"rounds to {100 * report.target:g}%": _rounds_to(report.rounds_to_target),
        }
    )


def _rounds_to(reached: int | None) -> str:
    if reached is None:
        return "never"
    return str(reached) if reached else "0: the initial model reached it"


def _rounds(report: RunReport) -> ScreenTable:
    """Return the table of the rounds, beside those of the clean twin."""
    clean = [f"{one:.1%}" for one in report.clean_accuracies]
    cost = [f"{100 * one:+.1f}" for one in report.impact]
    compared = {"clean": clean, "cost": cost}
    return history_table(report.run.history, compared, without=("seconds",), **_STYLE)


def _recall(tested: Confusion, names: Sequence[str]) -> Table:
    """Draw the recall of each class as a bar of text."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right")
    grid.add_column(justify="right")
    grid.add_column(no_wrap=True)
    for number, recall in enumerate(tested.recall):
        label = Text(_class(number, names))
        if recall is None:
            grid.add_row(label, "", Text("no samples", style="dim"))
        else:
            grid.add_row(label, f"{recall:.1%}", Text("█" * round(_BAR * recall)))
    return grid


def _class(number: int, names: Sequence[str]) -> str:
    """Return the number of a class, with its name where it has another one."""
    known = number < len(names) and names[number] != str(number)
    return f"{number} {names[number]}" if known else str(number)


def _confusion(tested: Confusion, names: Sequence[str]) -> ScreenTable:
    """Show which class was taken for which; the diagonal is what is right."""
    undefined = tested.samples - tested.counts.sum(axis=1)
    classes = range(len(tested.samples))
    columns: dict[str, list[str | Text]] = {"": [_class(number, names) for number in classes]}
    for predicted, counts in enumerate(tested.counts.T.tolist()):
        columns[str(predicted)] = [
            Text(str(count or "·"), style="bold" if true == predicted else "")
            for true, count in enumerate(counts)
        ]
    if undefined.any():
        columns["none"] = [str(count) for count in undefined.tolist()]
    return ScreenTable(columns, **_STYLE)


def _detectors(report: RunReport) -> ScreenTable:
    """Compare rule, audit and detectors with the truth."""
    found = report.detectors
    discoveries = [one.discovery for one in found]
    columns = {
        "detector": [one.detector for one in found],
        "TPR": [_share(one.worth.tpr) for one in found],
        "FPR": [_share(one.worth.fpr) for one in found],
        "precision": [_share(one.worth.precision) for one in found],
        "ROC-AUC": ["" if one.worth.auc is None else f"{one.worth.auc:.3f}" for one in found],
        "rounds": [
            "" if one is None or one.median is None else f"{one.median:g}" for one in discoveries
        ],
        "never": [_share(None if one is None else one.never) for one in discoveries],
    }
    caption = (
        "rounds: until half of the hostile participants had been flagged; "
        "never: the share that never was"
    )
    if SELECTION in columns["detector"]:
        caption += "; selection: given no weight by a rule that accuses no participant"
    return ScreenTable(columns, left={"detector"}, caption=caption, **_STYLE)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _headed(title: str, content: RenderableType) -> Group:
    return Group(Text(title, style="bold"), Text(), content)


def _pairs(lines: dict[str, str]) -> Table:
    """Lay out names and values; those without a value are left out."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in lines.items():
        if value:
            grid.add_row(Text(name, style="dim"), Wrapped(value))
    return grid


app = single(show)
