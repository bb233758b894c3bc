"""``fedsiege sim``: run one experiment on this machine."""

import inspect
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fedsiege.cli.command import single
from fedsiege.cli.files import Data, Plugins
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment.spec import ExperimentSpec, settings_from_file


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
                help=field.description,
                show_default=False if field.default in (None, "") else str(field.default),
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


@with_settings
def sim(
    *,
    spec: Annotated[
        Path | None, typer.Option(help="A spec.yaml to start from; options override it.")
    ] = None,
    data: Data = Path("data"),
    out: Annotated[
        Path | None, typer.Option(help="Results folder.", show_default="runs/<time-and-name>")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that the benign participants share.")] = 1,
    engine: Annotated[
        str,
        typer.Option(
            help="What runs the workers: local (processes), docker or swarm (containers)."
        ),
    ] = "local",
    image: Annotated[
        str | None,
        typer.Option(help="With containers: their image.", show_default="fedsiege:latest"),
    ] = None,
    per_container: Annotated[
        int | None,
        typer.Option(help="With containers: benign participants that share one.", show_default="1"),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="With containers: memory of a client's.", show_default="1g")
    ] = None,
    cpus: Annotated[
        float | None, typer.Option(help="With containers: processors of each.", show_default="1")
    ] = None,
    baseline: Annotated[
        str,
        typer.Option(
            help="The same run without the attack, which the cost is measured against: find (one "
            "beside the results), run (run it where there is none) or off."
        ),
    ] = "find",
    plugin: Plugins = None,
    progress: Annotated[
        str,
        typer.Option(
            help="How the run is reported: screen, json (an object per line, for programs) or none."
        ),
    ] = "screen",
    end_with_stdin: Annotated[
        bool,
        typer.Option(
            "--end-with-stdin",
            help="End the run in order when the standard input, a pipe, is closed: with the "
            "program that started it.",
        ),
    ] = False,
    **settings: str | None,
) -> None:
    """Run an experiment on this machine: all four services, over real gRPC."""
    from fedsiege.cli import local_run, missing_plugins
    from fedsiege.cli.observer import Observer
    from fedsiege.services.launch.engines import Engine
    from fedsiege.services.launch.local import Ports

    observer = Observer.of(progress)
    given = {name: value for name, value in settings.items() if value is not None}
    from_file = settings_from_file(spec) if spec else {}
    of_containers = {
        "image": image,
        "per-container": per_container,
        "memory": memory,
        "cpus": cpus,
    }
    of_twin = ["--end-with-stdin"] if end_with_stdin else []
    if progress != "screen":  # what the twin says would stand between
        of_twin.append("--progress=none")
    try:
        finished = local_run.run(
            ExperimentSpec.of({**from_file, **given}),
            data,
            out,
            workers,
            Ports(),
            observer,
            Engine.of(engine, image, per_container, memory, cpus),
            local_run.Twin.of(baseline),
            [
                *(sys.executable, "-m", "fedsiege.cli.main", "sim", "--baseline=off"),
                *(f"--data={data}", f"--workers={workers}", f"--engine={engine}"),
                *(f"--{key}={value}" for key, value in of_containers.items() if value is not None),
                *of_twin,
            ],
            _standard_input() if end_with_stdin else None,
        )
    except FedSiegeError as error:
        explained = missing_plugins.explain(error, spec)
        observer.refused(explained)
        raise explained from error
    if not finished:
        raise typer.Exit(1)


def _standard_input() -> int:
    """Return the file descriptor of the standard input.

    Raises:
        InvalidValue: it is not a pipe.
    """
    descriptor = sys.stdin.fileno()
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISFIFO(mode) and not stat.S_ISSOCK(mode):
        raise InvalidValue("END_WITH_STDIN", True, "only where the standard input is a pipe")
    return descriptor


app = single(sim)
