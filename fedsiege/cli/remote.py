"""``fedsiege remote``: start, follow and cancel the experiments of a simulator that is served."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fedsiege.cli.command import Command
from fedsiege.cli.files import read_text
from fedsiege.cli.observer import JsonObserver, ScreenObserver
from fedsiege.cli.screen import Screen
from fedsiege.cli.screen_table import ScreenTable
from fedsiege.cli.sim import with_settings
from fedsiege.client import ADDRESS, TIMEOUT, Client, Experiment, ExperimentState
from fedsiege.errors import FedSiegeError
from fedsiege.experiment.spec import settings_from_yaml
from fedsiege.results import RunState

app = typer.Typer(
    help="Experiments of a simulator that `fedsiege serve`, containers or another machine run.",
    no_args_is_help=True,
    add_completion=False,
)

Address = Annotated[str, typer.Option(help="The simulator, host:port.")]
Certs = Annotated[
    Path | None,
    typer.Option(
        help="Certificate bundle with the role control, where the simulator asks for one.",
        envvar="FEDSIEGE_CERTS",
        show_default=False,
    ),
]
Timeout = Annotated[
    float, typer.Option(help="Seconds within which the simulator must be reached and answer.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, an object per line.")]
Identifier = Annotated[
    str, typer.Argument(metavar="[EXPERIMENT]", help="Its id; the newest if left out.")
]


@with_settings
def start(
    *,
    spec: Annotated[
        Path | None, typer.Option(help="A spec.yaml to start from; options override it.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    address: Address = ADDRESS,
    certs: Certs = None,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
    **settings: str | None,
) -> None:
    """Start an experiment; it waits for workers if there are too few."""
    given = {name: value for name, value in settings.items() if value is not None}
    from_file = settings_from_yaml(read_text(spec)) if spec else {}
    with Client(address, certs=certs, timeout=timeout) as client:
        experiment = client.start(from_file, **given)
        if as_json:
            _print_json(_described(experiment))
        else:
            _say(f"experiment {experiment.id} is {experiment.state}")
        if watch:
            _follow(experiment, as_json)


app.command(cls=Command)(start)


@app.command()
def watch(
    experiment: Identifier = "",
    address: Address = ADDRESS,
    certs: Certs = None,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Follow an experiment from its first round to its end; the status is 1 if it does not finish.

    After a lost connection it goes on where it was. Ctrl-C ends the watching, not the experiment.
    """
    with Client(address, certs=certs, timeout=timeout) as client:
        _follow(client.experiment(experiment), as_json)


@app.command()
def history(
    experiment: Identifier = "",
    address: Address = ADDRESS,
    certs: Certs = None,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Print the rounds that are recorded so far."""
    with Client(address, certs=certs, timeout=timeout) as client:
        found = client.experiment(experiment)
        rows = found.rows()
    if as_json:
        for row in rows:
            _print_json(row.to_json())
    elif rows:
        Screen().print_history(rows)
    else:
        _say(f"experiment {found.id} is {found.state} and has no rounds yet")


@app.command()
def cancel(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Its id.")],
    address: Address = ADDRESS,
    certs: Certs = None,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """Stop an experiment after what it has is written; one that has ended stays as it is."""
    with Client(address, certs=certs, timeout=timeout) as client:
        ended = client.experiment(experiment).cancel()
    if as_json:
        _print_json(_described(ended))
    else:
        _say(f"experiment {ended.id} is {ended.state}, {ended.recorded} rounds are recorded")


@app.command()
def experiments(
    address: Address = ADDRESS,
    certs: Certs = None,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """List the experiments that the simulator remembers, newest first."""
    with Client(address, certs=certs, timeout=timeout) as client:
        found = [_described(one) for one in client.experiments()]
    if as_json:
        for one in found:
            _print_json(one)
        return
    rows = [
        {
            "experiment": one["id"],
            "state": one["state"],
            "rounds": f"{max(0, one['recorded'] - 1)}/{one['spec']['rounds']}",
            "started": one["created"],
            "attack": one["spec"]["attack_name"] if one["spec"]["attack"] else "",
            "rule": one["spec"]["rule"],
            "problem": one["problem"],
        }
        for one in found
    ]
    _print_table(rows, "the simulator has no experiments")


@app.command()
def workers(
    address: Address = ADDRESS,
    certs: Certs = None,
    timeout: Timeout = TIMEOUT,
    as_json: Json = False,
) -> None:
    """List the workers that are attached now."""
    with Client(address, certs=certs, timeout=timeout) as client:
        rows = [
            {
                "worker": one.name,
                "kind": one.kind,
                "capacity": one.capacity,
                "attached": f"{one.attached:%F %TZ}",
                "experiment": one.experiment_id,
            }
            for one in client.workers()
        ]
    if as_json:
        for one in rows:
            _print_json(one)
    else:
        _print_table(rows, "no worker is attached")


def _follow(experiment: Experiment, as_json: bool) -> None:
    """Show an experiment until it ends; the status is 1 if it does not finish."""
    observer = JsonObserver() if as_json else ScreenObserver()
    shown, problem = 0, ""

    def report(changed: Experiment) -> None:
        nonlocal shown, problem
        for note in changed.notes[shown:]:
            observer.note(note)
        shown = max(shown, len(changed.notes))
        if changed.problem != problem and not changed.state.ended:
            problem = changed.problem
            if problem:
                observer.say(problem)

    rows = []
    try:
        with observer.rounds(experiment.spec.rounds) as show:
            for row in experiment.watch(on_change=report):
                rows.append(row)
                show(row)
    except KeyboardInterrupt:
        raise FedSiegeError(
            f"stopped watching; experiment {experiment.id} goes on: fedsiege remote cancel ends it"
        ) from None
    if rows:
        observer.history(rows)
    failed = experiment.state is ExperimentState.FAILED
    observer.ended(RunState(experiment.state), experiment.problem if failed else "")
    if not as_json:
        where = f", results on its machine: {experiment.results}" if experiment.results else ""
        _say(f"experiment {experiment.id} is {experiment.state}{where}")
    if experiment.state is not ExperimentState.FINISHED:
        raise typer.Exit(1)


def _described(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment for JSON."""
    ended = experiment.ended
    return {
        "id": experiment.id,
        "state": experiment.state,
        "recorded": experiment.recorded,
        "created": f"{experiment.created:%F %TZ}",
        "ended": None if ended is None else f"{ended:%F %TZ}",
        "problem": experiment.problem,
        "notes": experiment.notes,
        "hostile": experiment.hostile,
        "results": experiment.results,
        "spec": experiment.spec.model_dump(),
    }


def _print_json(values: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False))


def _print_table(rows: list[dict[str, Any]], empty: str) -> None:
    """Print rows of the same columns; ``empty`` where there are none."""
    if not rows:
        _say(empty)
        return
    columns = {name: [str(row[name]) for row in rows] for name in rows[0]}
    numbers = {"capacity", "rounds"}
    table = ScreenTable(columns, left=set(columns) - numbers, box=None, padding=(0, 2, 0, 0))
    Screen().console.print(table)


def _say(text: str) -> None:
    Screen().say(text)
