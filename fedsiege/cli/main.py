"""The command line: ``fedsiege sim``, ``serve``, ``grid``, ``rules``, ``certs`` and the like."""

import errno
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from fedsiege.cli import admission, certs, tokens
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment import environment
from fedsiege.experiment.spec import ExperimentSpec, settings_from_yaml

#: Exit status after something impossible was asked for.
IMPOSSIBLE = 2
#: Commands that read no settings of the environment, and what they go by.
_WITHOUT_SETTINGS = {
    "serve": "each experiment comes with its own settings",
    "grid": "its file has the settings",
    "classifier": "it has options of its own",
}

app = typer.Typer(
    help="A siege range for federated learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(certs.app, name="certs")
app.add_typer(tokens.app, name="tokens")
app.command()(admission.admission)

Data = Annotated[
    Path, typer.Option(help="Folder of the data sets.", envvar="FEDSIEGE_DATA", show_default=True)
]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each setting of an experiment.

    The options are text: ExperimentSpec reads and checks them, so that a wrong value gets the same
    answer on the command line, in a file and over gRPC.
    """
    own = list(inspect.signature(command).parameters.values())
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=typer.Option(
                None,
                envvar=f"FEDSIEGE_{name.upper()}",
                help=f"{field.description} [default: {field.default}]",
                show_default=False,
                show_envvar=False,
                metavar=name.upper(),
            ),
            annotation=str | None,
        )
        for name, field in ExperimentSpec.model_fields.items()
    ]
    kept = [one for one in own if one.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature(kept + options)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in kept + options}
    return command


@app.command()
@with_settings
def sim(
    *,
    spec: Annotated[
        Path | None, typer.Option(help="A spec.yaml to start from; options override it.")
    ] = None,
    data: Data = Path("data"),
    out: Annotated[
        Path | None, typer.Option(help="Results folder [default: runs/<time-and-name>]")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that the benign participants share.")] = 1,
    engine: Annotated[
        str,
        typer.Option(
            help="What runs the workers: laptop (processes), docker or swarm (containers)."
        ),
    ] = "laptop",
    image: Annotated[
        str | None,
        typer.Option(help="With containers: their image [default: fedsiege:latest]"),
    ] = None,
    per_container: Annotated[
        int | None,
        typer.Option(help="With containers: benign participants that share one [default: 1]"),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="With containers: memory of a client's [default: 1g]")
    ] = None,
    cpus: Annotated[
        float | None, typer.Option(help="With containers: processors of each [default: 1]")
    ] = None,
    baseline: Annotated[
        str,
        typer.Option(
            help="The same run without the attack, which the cost is told against: find (looked "
            "for beside the results), run (run if it is not there) or off."
        ),
    ] = "find",
    **settings: str | None,
) -> None:
    """Run an experiment on this machine: all four services, over real gRPC."""
    from fedsiege.cli import sim
    from fedsiege.cli.screen import Screen
    from services.launch.engines import Engine
    from services.launch.local import Ports

    if baseline not in list(sim.Twin):
        raise InvalidValue("BASELINE", baseline, f"one of {', '.join(sim.Twin)}")
    twin = sim.Twin(baseline)
    given = {name: value for name, value in settings.items() if value is not None}
    from_file = settings_from_yaml(read_text(spec)) if spec else {}
    of_containers = {
        "image": image,
        "per-container": per_container,
        "memory": memory,
        "cpus": cpus,
    }
    finished = sim.run(
        ExperimentSpec.of({**from_file, **given}),
        data,
        out,
        workers,
        Ports(),
        Screen(),
        Engine.of(engine, image, per_container, memory, cpus),
        twin,
        [
            *(sys.executable, "-m", "fedsiege.cli.main", "sim", "--baseline=off"),
            *(f"--data={data}", f"--workers={workers}", f"--engine={engine}"),
            *(f"--{name}={value}" for name, value in of_containers.items() if value is not None),
        ],
    )
    if not finished:
        raise typer.Exit(1)


@app.command()
def serve(
    data: Data = Path("data"),
    runs: Annotated[Path, typer.Option(help="Where results folders are created.")] = Path("runs"),
    clients: Annotated[int, typer.Option(help="Places for benign participants.")] = 100,
    attackers: Annotated[int, typer.Option(help="Places for hostile participants.")] = 100,
    workers: Annotated[int, typer.Option(help="Processes for benign participants.")] = 1,
    port: Annotated[
        int,
        typer.Option(
            help="The aggregator's port; the simulator's is the next. 0 takes two free ones."
        ),
    ] = 50051,
) -> None:
    """Run the four services on this machine until Ctrl-C, to be driven over gRPC."""
    from fedsiege.cli import serve
    from fedsiege.cli.screen import Screen

    serve.run(data, runs, clients, attackers, workers, port, Screen())


@app.command()
def classifier(
    model: Annotated[str, typer.Option(help="net, lenet5 or cnn")] = "net",
    dataset: Annotated[str, typer.Option(help="auto, digits, mnist or fashion")] = "auto",
    data: Data = Path("data"),
    seed: Annotated[int, typer.Option(help="Seed of all random draws.", min=0)] = 0,
    seeds: Annotated[
        int,
        typer.Option(
            help="Seeds to train, SEED and the next; keeps the one of median accuracy.", min=1
        ),
    ] = 1,
    epochs: Annotated[int | None, typer.Option(help="Passes [default: suits the data]")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate [default: likewise]")] = None,
    momentum: Annotated[float | None, typer.Option(help="[default: likewise]")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples a step [default: likewise]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint [default: <model>-<dataset>.safetensors]")
    ] = None,
) -> None:
    """Train and test a base model, and write it as a checkpoint."""
    from fedsiege.cli import classifier
    from fedsiege.cli.screen import Screen

    recipe = {"epochs": epochs, "learning_rate": lr, "momentum": momentum, "batch_size": batch}
    classifier.run(model, dataset, data, seed, seeds, recipe, out, Screen())


@app.command()
def grid(
    file: Annotated[Path, typer.Argument(help="The grid, such as experiments/admission.yaml.")],
    data: Data = Path("data"),
    out: Annotated[
        Path | None, typer.Option(help="Folder of the grid [default: runs/<its name>]")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Experiments that run at a time.", min=1)] = 1,
) -> None:
    """Run every experiment of a grid; one that was interrupted goes on where it stopped."""
    from fedsiege.cli import grid
    from fedsiege.cli.screen import Screen

    grid.run(read_text(file), file.stem, out, [f"--data={data}"], Screen(), jobs)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A results folder, or the name of one in RUNS.")],
    target: Annotated[float, typer.Option(help="Accuracy for the rounds to target.")] = 0.9,
    clean: Annotated[
        str | None,
        typer.Option(help="The same run without its attack [default: looked for beside it]"),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where results folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show what a run did to the model, and who was found out."""
    from fedsiege.cli import show as page
    from fedsiege.cli.screen import Screen

    page.run(run, target, clean, as_json, runs, Screen())


@app.command()
def rules() -> None:
    """List the aggregation rules, what may stand in front of them, and their parameters."""
    from fedsiege import rules
    from fedsiege.rules import pre

    print_registries(rules.registry)
    Console().print("\nIn front of a rule, one or several, as in nnm/krum:\n")
    print_registries(pre.registry)


@app.command()
def attacks() -> None:
    """List the attacks, what each may know, and their parameters."""
    from fedsiege import attacks as science

    print_registries(science.registry, knows=lambda attack: attack().knows.name.lower())
    Console().print("\nWhat they know, unless told otherwise by knowledge=LEVEL:")
    for level in science.Knowledge:
        Console().print(f"  {level.name.lower()}: {level.value}")


@app.command()
def detectors() -> None:
    """List the detectors of an audit, the terms for those they flag, and their parameters."""
    from fedsiege import detectors

    print_registries(detectors.registry, detectors.quarantine.registry)


def print_registries(*registries: Any, **more: Callable[[Any], str]) -> None:  # of anything
    """Print the names of registries with what each is and takes, and more columns of its class.

    Where a row of all columns is wider than the window, parameters stand below what a thing is.
    """
    console = Console()
    table, narrow = Table(box=None, padding=(0, 2)), Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("name", *more, "parameters", "what it is"):
        table.add_column(heading, overflow="fold")
    for heading in ("name", *more, "what it is, and its parameters"):
        narrow.add_column(heading, overflow="fold")
    for registry in registries:
        for thing in registry:
            parameters = registry.parameters(thing.name)
            spelled = ", ".join(f"{one.name}={one.default}" for one in parameters)
            said = [Text(column(thing)) for column in more.values()]
            name, summary = Text(thing.name, style="bold"), Text(thing.summary)
            table.add_row(name, *said, Text(spelled), summary)
            below = [Text(spelled, style="dim")] if spelled else []
            narrow.add_row(name, *said, Group(summary, *below))
    unbroken = console.measure(table, options=console.options.update(width=1000)).maximum
    console.print(table if unbroken <= console.width else narrow)


def read_text(path: Path) -> str:
    """Read a file the user named."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FedSiegeError(f"{path} cannot be read: {error}") from error


def _check_environment() -> None:
    """Refuse misspelt variables; say which have no effect on this command.

    Raises:
        InvalidValue: a variable of FedSiege that there is not.
    """
    environment.check(os.environ)
    command = next((one for one in sys.argv[1:] if not one.startswith("-")), "")
    if command in _WITHOUT_SETTINGS:
        for name in environment.unread(os.environ):
            note = f"{name} has no effect on fedsiege {command}: {_WITHOUT_SETTINGS[command]}"
            Console(stderr=True).print(Text(note, style="yellow"), soft_wrap=True)


def main() -> None:
    """Run the command line; errors of ours are sentences, not tracebacks."""
    try:
        if "--help" not in sys.argv:
            _check_environment()
        app()
    except FedSiegeError as error:
        Console(stderr=True).print(Text(str(error), style="bold red"))
        sys.exit(IMPOSSIBLE)
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise  # of the program's own, not of a file that the user named
        from fedsiege.results.atomic import in_words  # with numpy, which is slow to load

        Console(stderr=True).print(Text(in_words(error), style="bold red"))
        sys.exit(IMPOSSIBLE)


if __name__ == "__main__":
    main()
