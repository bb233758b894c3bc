"""``fedsiege.run``: run an experiment from a script or a notebook.

The experiment runs in a process of its own, ``fedsiege sim --progress=json``, which reports each
round as a line of JSON. Whatever the calling process does (threads, an event loop, gRPC, CUDA, a
script without a ``__main__`` guard) therefore does not matter to it, nor does what a former run
left. The process ends in order when its standard input closes, thus also when the calling process
is killed.
"""

import asyncio
import contextlib
import contextvars
import inspect
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fedsiege import errors
from fedsiege.errors import FedSiegeError, InvalidValue, RunFailed
from fedsiege.experiment import environment
from fedsiege.experiment.spec import ExperimentSpec, settings_from_file
from fedsiege.results import RunState
from fedsiege.results.run import Run
from fedsiege.time_left import TimeLeft

#: What a run may be given as: settings, or the path of a ``spec.yaml``.
Spec = ExperimentSpec | Mapping[str, object] | str | Path
#: Seconds that a run gets to end in order before it is killed.
_GRACE = 60.0
#: Characters of the standard error that are shown of a process that ended without a reason.
_LAST_WORDS = 2_000


def run(
    spec: Spec | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    workers: int = 1,
    engine: str = "local",
    image: str | None = None,
    per_container: int | None = None,
    memory: str | None = None,
    cpus: float | None = None,
    plugins: Iterable[str | Path] = (),
    baseline: str = "find",
    progress: bool | None = None,
    **settings: object,
) -> Run:
    """Run an experiment, and return its results.

    ``fedsiege.run(rule="krum", attack=0.2)`` is ``fedsiege sim --rule=krum --attack=0.2``, except
    that no settings are taken from environment variables. An interrupt (Ctrl-C) ends the run in
    order before KeyboardInterrupt is raised: its folder keeps the results so far, and no process is
    left.

    Args:
        spec: the settings: an ExperimentSpec, a mapping, or the path of a ``spec.yaml``. Those that
            are left out have their defaults.
        data: the folder of the data sets; None for the variable FEDSIEGE_DATA, or else ``data``.
        out: the results folder, new or empty; None for a new one in ``runs``.
        workers: processes that the benign participants share, 1 to 64.
        engine: what runs the workers: local (processes), docker or swarm (containers).
        image: with containers, their image; None for ``fedsiege:latest``.
        per_container: with containers, benign participants that share one; None for 1.
        memory: with containers, the memory of a client's, such as ``512m``; None for ``1g``.
        cpus: with containers, the processors of each; None for 1.
        plugins: Python files with rules, attacks, ... of your own.
        baseline: the same run without the attack, which the cost is measured against: find (one
            beside the results), run (run it where there is none) or off.
        progress: whether to show the progress on the standard error, as one line that changes; None
            for a terminal or a notebook.
        settings: further settings, which override those of ``spec``.

    Returns:
        The results, as data frames.

    Raises:
        InvalidValue: a setting or an option is not possible; there is no results folder.
        FedSiegeError: the run cannot be started, such as for a data set that cannot be downloaded.
        RunFailed: the run did not finish; the error has its folder.
    """
    return _start(
        spec=spec,
        data=data,
        out=out,
        workers=workers,
        engine=engine,
        image=image,
        per_container=per_container,
        memory=memory,
        cpus=cpus,
        plugins=plugins,
        baseline=baseline,
        progress=progress,
        settings=settings,
    ).follow()


async def arun(spec: Spec | None = None, **options: Any) -> Run:  # as ``run`` has them
    """Run an experiment like ``run``, without blocking the event loop.

    Cancelling the task ends the run in order before CancelledError is raised.

    Args:
        spec: as for ``run``.
        options: the options and settings of ``run``.

    Returns:
        The results, as data frames.

    Raises:
        FedSiegeError: as ``run``.
    """
    asked = _SIGNATURE.bind(spec, **options)
    asked.apply_defaults()
    process = _start(**asked.arguments)
    # A thread of its own: those of the loop are few, and a run may take hours.
    with ThreadPoolExecutor(1) as threads:
        context = contextvars.copy_context()  # by which a notebook knows the cell of an output
        following = asyncio.wrap_future(threads.submit(context.run, process.follow))
        try:
            return await asyncio.shield(following)
        except asyncio.CancelledError:
            process.close()
            try:
                await asyncio.wait([following], timeout=_GRACE)
            finally:
                process.kill()
                following.add_done_callback(lambda done: done.exception())  # it is not of interest
            raise


_SIGNATURE = inspect.signature(run)
arun.__signature__ = _SIGNATURE  # type: ignore[attr-defined]


def _start(
    *,
    spec: Spec | None,
    settings: Mapping[str, object],
    out: str | Path | None,
    plugins: Iterable[str | Path],
    progress: bool | None,
    **options: object,
) -> "_Process":
    """Start the process of a run; the arguments are those of ``run``.

    Raises:
        FedSiegeError: a setting is not possible, or the file of the settings cannot be read.
    """
    resolved = _spec(spec, settings)
    files = [Path(file).absolute() for file in plugins]
    if not files:
        _refuse_unsaved(resolved)
    if out is not None:
        options["out"] = Path(out).absolute()
    given = {**options, **_changed(resolved)}
    return _Process(
        [
            *(sys.executable, "-m", "fedsiege.cli.main", "sim"),
            *(f"--{name.replace('_', '-')}={x}" for name, x in given.items() if x is not None),
            *(f"--plugin={file}" for file in files),
            *("--progress=json", "--end-with-stdin"),
        ],
        _Progress(resolved.rounds) if _is_shown(progress) else None,
    )


def _refuse_unsaved(spec: ExperimentSpec) -> None:
    """Raise InvalidValue for a component that this program has registered, and no file or package.

    The process of the run would not know it.
    """
    rooms = ("rules", "attacks", "detectors", "models", "datasets")
    if not any(f"fedsiege.{room}" in sys.modules for room in rooms):
        return  # this program has registered none; to import the rooms takes a second
    from fedsiege.experiment.plugins_used import plugins_used

    for plugin, components in plugins_used(spec).items():
        if not plugin.version and not plugin.sha256:
            noun, _, name = components[0].partition(" ")
            allowed = (
                f"one that the services can load, and it is registered in {plugin.name} alone: "
                "move its class into a file, and name that: plugins=[FILE]"
            )
            raise InvalidValue(noun, name, allowed)


def _spec(spec: Spec | None, settings: Mapping[str, object]) -> ExperimentSpec:
    """Put the settings together and check them.

    Raises:
        InvalidValue: one is not possible.
        FedSiegeError: a file of settings cannot be read.
    """
    if isinstance(spec, str | Path):
        base: Mapping[str, object] = settings_from_file(Path(spec))
    elif isinstance(spec, ExperimentSpec):
        base = _changed(spec)
    else:
        base = spec or {}
    return ExperimentSpec.of({**base, **settings})


def _changed(spec: ExperimentSpec) -> dict[str, object]:
    """Return the settings that differ from their defaults, by name."""
    fields = type(spec).model_fields
    return {name: x for name, x in spec.model_dump().items() if x != fields[name].default}


class _Process:
    """The process of a run.

    Args:
        command: what runs it.
        progress: shows how far it is; None for nothing.
    """

    def __init__(self, command: Sequence[str], progress: "_Progress | None") -> None:
        self._progress = progress
        self._folder: Path | None = None
        self._error: FedSiegeError | None = None
        self._end: dict[str, Any] = {}
        self._stderr = tempfile.TemporaryFile(  # noqa: SIM115 - closed by ``follow``
            "w+", encoding="utf-8", errors="replace"
        )
        # PYTHONSAFEPATH: a file of the working directory called, say, random.py is not imported.
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            env={**environment.without_settings(os.environ), "PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl-C in a terminal reaches the calling process alone
        )

    def follow(self) -> Run:
        """Wait until the run has ended; return its results.

        Raises:
            FedSiegeError: it could not be started.
            RunFailed: it did not finish.
            BaseException: such as KeyboardInterrupt while it ran; then the run is ended first.
        """
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._read(json.loads(line))
            self._process.wait()
            return self._result()
        except BaseException as error:
            if self._process.poll() is None:
                self._stop()
                if self._folder is not None:
                    error.add_note(f"{self._folder} has the results so far")
            raise
        finally:
            self.close()
            self._process.stdout.close()
            self._stderr.close()
            if self._progress is not None:
                self._progress.close()

    def close(self) -> None:
        """Close the standard input of the process, so that it ends the run in order."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        """Kill the process, unless it has ended; the services end with it."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _stop(self) -> None:
        """End the run in order; kill it if that takes long, or at another interrupt."""
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.communicate(timeout=_GRACE)  # closes the standard input
        finally:
            self.kill()

    def _read(self, event: dict[str, Any]) -> None:
        """Take in a line; ``fedsiege.cli.observer`` describes them."""
        match event["event"]:
            case "folder":
                self._folder = Path(event["path"])
            case "error":
                self._error = _error(event)
            case "end":
                self._end = event
        if self._progress is not None:
            self._progress.show(event)

    def _result(self) -> Run:
        """Return the results of a run that finished.

        Raises:
            FedSiegeError: it could not be started.
            RunFailed: it did not finish.
        """
        if self._error is not None and self._folder is None:
            raise self._error
        if self._folder is not None and self._end.get("state") == RunState.FINISHED:
            return Run(self._folder)
        self._stderr.seek(0)
        said = self._stderr.read().strip()[-_LAST_WORDS:]
        problem = self._end.get("problem") or ("it was stopped" if self._end else said)
        unknown = f"its process ended with status {self._process.returncode}"
        raise RunFailed(str(self._error or problem or unknown), self._folder)


def _error(event: Mapping[str, Any]) -> FedSiegeError:
    """Return the error that an event describes, as the class it was, if that is of ``errors``."""
    if "allowed" in event:
        error = InvalidValue(event["name"], event["value"], event["allowed"])
        error.args = (event["text"],)  # the value may have been no text in the process
        return error
    kind = getattr(errors, event["kind"], FedSiegeError)
    return kind(event["text"])


def _is_shown(progress: bool | None) -> bool:
    """Whether the progress is shown: if asked for, or on a terminal or in a notebook."""
    if progress is not None:
        return progress
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel.")


class _Progress:
    """A line on the standard error that is written anew with each round.

    Args:
        rounds: how many there are, 1 or more.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._width = 0
        self._write("starting")

    def show(self, event: Mapping[str, Any]) -> None:
        """Show a round; what was assumed, such as the data set, gets a line of its own."""
        if event["event"] == "spec":
            for text in (event["dataset_reason"], *event["notes"]):
                if text:
                    self._write(text)
                    self.close()
        if event["event"] != "round":
            return
        number, left = event["round"], ""
        if number == 0:
            self._left = TimeLeft(self._rounds)
        else:
            left = self._left.advance()
        accuracy = math.nan if event["accuracy"] is None else event["accuracy"]
        text = "destroyed" if event["destroyed"] else f"{accuracy:.1%}"
        parts = [f"round {number}/{self._rounds}: accuracy {text}"]
        if event["asr"] is not None:
            parts.append(f"attack success {event['asr']:.1%}")
        self._write(", ".join([*parts, left] if left else parts))

    def _write(self, text: str) -> None:
        # Spaces, as not every notebook knows the sequence that clears the rest of a line.
        sys.stderr.write(f"\r{text.ljust(self._width)}")
        sys.stderr.flush()
        self._width = len(text)

    def close(self) -> None:
        """End the line."""
        sys.stderr.write("\n")
        sys.stderr.flush()
        self._width = 0
