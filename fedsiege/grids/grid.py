"""Grids: an experiment for every combination of settings, from one file, resumable by cell.

A grid file has up to four parts::

    about: what it shows, one sentence
    base: {clients: 50, rounds: 30}       # settings of ExperimentSpec that all cells share
    vary:                                 # one axis each, the first down, the second across
      attack:                             # either labels with settings of their own ...
        none: {attack: 0}
        mpaf: {attack: 0.2, attack_name: mpaf}
      rule: [fedavg, median]              # ... or values of the setting that the axis is named for

Every cell is a ``fedsiege sim`` of its own in ``<out>/cells/<labels>``. A folder appears under that
name only when its run is complete, so a grid that was interrupted goes on where it stopped.
"""

import fcntl
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

from fedsiege.atomic import describe_error, write_file
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment import environment
from fedsiege.experiment.spec import ExperimentSpec, settings_from_yaml
from fedsiege.peer_text import plain

_PARTS = ("about", "base", "vary")
#: Lines of the screen of a run that failed that are shown; the last ones say why.
_LAST_LINES = 8


#: What is appended to a cell's folder for its run while it goes on, and for what was asked of it.
_UNFINISHED, _ASKED = ".unfinished", ".yaml"
#: Bytes of the name of a cell's folder: file systems take 255, with what is appended.
_LONGEST = 255 - len(_UNFINISHED)


class CellFailed(FedSiegeError):
    """The run of a cell did not finish."""


@dataclass(frozen=True)
class Cell:
    """One combination of settings.

    Attributes:
        labels: the label on each axis, in the order of the axes.
        spec: what runs.
    """

    labels: tuple[str, ...]
    spec: ExperimentSpec

    @property
    def folder(self) -> str:
        """The name of its folder: the labels, with what file systems dislike replaced."""
        return "__".join(re.sub(r"[^\w.=,-]+", "-", label) for label in self.labels)


@dataclass(frozen=True)
class Grid:
    """The settings to combine, and those that all experiments share.

    Attributes:
        about: what the grid shows, one sentence.
        axes: for each axis the settings behind each of its labels.
        base: the settings that all cells share.
    """

    about: str
    axes: Mapping[str, Mapping[str, Mapping[str, object]]]
    base: Mapping[str, object]

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read a grid file and check every cell's settings.

        Raises:
            InvalidValue: it has another form, or a setting is out of its range.
        """
        parts = settings_from_yaml(text)
        for key in parts:
            if key not in _PARTS:
                raise InvalidValue(key, parts[key], f"a grid has the parts {', '.join(_PARTS)}")
        vary, base = parts.get("vary"), parts.get("base") or {}
        if not isinstance(vary, dict) or not vary:
            raise InvalidValue("vary", vary, "at least one axis")
        if not isinstance(base, dict):
            raise InvalidValue("base", base, "settings, one `setting: value` per line")
        grid = cls(
            str(parts.get("about") or ""),
            {str(name): _axis(str(name), values) for name, values in vary.items()},
            {str(key): value for key, value in base.items()},
        )
        folders: dict[str, Cell] = {}
        for cell in grid:
            _check_folder(cell)
            other = folders.setdefault(cell.folder, cell)
            if other.labels != cell.labels:
                allowed = f"labels that differ in more than their signs from {other.labels}"
                raise InvalidValue("vary", cell.labels, allowed)
        for cell in folders.values():
            for suffix in (_UNFINISHED, _ASKED):
                if clash := folders.get(cell.folder + suffix):
                    allowed = f"labels that differ from {cell.labels} in more than {suffix}"
                    raise InvalidValue("vary", clash.labels, allowed)
        return grid

    def __iter__(self) -> Iterator[Cell]:
        """Yield every combination, the last axis varying fastest.

        Raises:
            InvalidValue: a setting is out of its range, or two labels want it to be different.
        """
        for labels in itertools.product(*self.axes.values()):
            settings: dict[str, object] = {}
            for axis, label in zip(self.axes.values(), labels, strict=True):
                for name, value in axis[label].items():
                    if settings.setdefault(name, value) != value:
                        allowed = f"{settings[name]}, as another label of {', '.join(labels)} says"
                        raise InvalidValue(name, value, allowed)
            settings = {**self.base, **settings}
            yield Cell(labels, ExperimentSpec.of(settings))

    def __len__(self) -> int:
        count = 1
        for axis in self.axes.values():
            count *= len(axis)
        return count


def _axis(name: str, values: object) -> dict[str, dict[str, object]]:
    """Read one axis."""
    if isinstance(values, list) and values:
        axis: dict[str, dict[str, object]] = {str(value): {name: value} for value in values}
        if len(axis) == len(values):
            return axis
    elif (
        isinstance(values, dict)
        and values
        and all(isinstance(settings, dict) for settings in values.values())
    ):
        return {str(label): dict(settings) for label, settings in values.items()}
    allowed = "a list of different values, or labels with settings each"
    raise InvalidValue(f"vary: {name}", values, allowed)


def _check_folder(cell: Cell) -> None:
    """Refuse labels that make no name of a folder.

    Raises:
        InvalidValue: the name is too long for a file system, or means another folder.
    """
    shown = tuple(plain(label, 60) for label in cell.labels)
    if (length := len(os.fsencode(cell.folder))) > _LONGEST:
        allowed = f"labels that together make a folder's name of at most {_LONGEST} bytes"
        raise InvalidValue("vary", shown, f"{allowed}; these make {length}")
    if not cell.folder.strip("."):
        allowed = f"labels that make a folder's name, which {cell.folder!r} is not"
        raise InvalidValue("vary", shown, allowed)


def folder_of(cell: Cell, out: Path) -> Path:
    """Return where the results of a cell lie, once they are complete, in the folder of a grid."""
    return out / "cells" / cell.folder


def run_cells(
    grid: Grid,
    out: Path,
    options: list[str],
    done: Callable[[Cell, Path], None],
    jobs: int = 1,
) -> None:
    """Run every cell that is not there yet, some at a time.

    Args:
        grid: what to run.
        out: the folder of the grid.
        options: more options for each ``fedsiege sim``, such as ``--data``.
        done: called with each complete cell and its folder, from this thread; those of an earlier
            run come first.
        jobs: how many cells run at a time, 1 or more.

    Raises:
        CellFailed: runs did not finish; all the others were run, and are kept.
        InvalidValue: jobs is out of its range, a folder there is the result of other settings than
            the grid's, or another grid runs in it. Nothing was run, and ``done`` not called.
    """
    if jobs < 1:
        raise InvalidValue("JOBS", jobs, "a whole number, 1 or more")
    (out / "cells").mkdir(parents=True, exist_ok=True)
    with _locked(out):
        places = [(cell, folder_of(cell, out)) for cell in grid]
        complete = [(cell, folder) for cell, folder in places if folder.exists()]
        for cell, folder in complete:
            _check_same(cell, folder)
        for cell, folder in complete:
            done(cell, folder)
        missing = [place for place in places if place not in complete]
        problems = _run_missing(missing, options, done, jobs)
    if problems:
        raise CellFailed("\n".join(problems))


def _run_missing(
    missing: Iterable[tuple[Cell, Path]],
    options: list[str],
    done: Callable[[Cell, Path], None],
    jobs: int,
) -> list[str]:
    """Run cells, and return the problem of each that failed; the others run all the same."""
    problems = []
    with ThreadPoolExecutor(jobs) as pool:
        running = {
            pool.submit(_run, cell, folder, options): (cell, folder) for cell, folder in missing
        }
        try:
            for finished in as_completed(running):
                problem = finished.exception()
                if isinstance(problem, CellFailed):
                    problems.append(str(problem))
                elif isinstance(problem, OSError):
                    labels = ", ".join(running[finished][0].labels)
                    problems.append(f"{labels} did not finish: {describe_error(problem)}")
                else:
                    finished.result()
                    done(*running[finished])
        finally:
            pool.shutdown(cancel_futures=True)
    return problems


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Lock the folder against a second grid, which would remove cells that are running.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidValue("OUT", str(out), "a folder in which no other grid runs") from error
        yield


def _check_same(cell: Cell, folder: Path) -> None:
    """Refuse a folder that holds the results of other settings.

    Raises:
        InvalidValue: it does.
    """
    asked = folder / "asked.yaml"
    if not asked.exists():
        raise InvalidValue("OUT", str(folder), "a folder of this very grid")
    before = ExperimentSpec.from_yaml(asked.read_text()).model_dump()
    differing = [
        f"{name}={before[name]} in place of {value}"
        for name, value in cell.spec.model_dump().items()
        if before[name] != value
    ]
    if differing:
        allowed = f"a folder of this very grid; it holds results with {', '.join(differing)}"
        raise InvalidValue("OUT", str(folder), allowed)


def _run(cell: Cell, folder: Path, options: list[str]) -> None:
    """Run one cell in a folder beside its own, and rename that when it is complete.

    Raises:
        CellFailed: the run did not finish.
        OSError: a file cannot be written.
    """
    beside = folder.with_name(f"{folder.name}{_UNFINISHED}")
    asked = folder.with_name(f"{folder.name}{_ASKED}")
    shutil.rmtree(beside, ignore_errors=True)
    write_file(asked, cell.spec.to_yaml().encode())
    command = [sys.executable, "-m", "fedsiege.cli.main", "sim"]
    command += [f"--spec={asked}", f"--out={beside}", *options]
    # The grid's own settings count, not what the environment has for a single run.
    finished = subprocess.run(  # noqa: S603 - our own program
        command,
        capture_output=True,
        text=True,
        check=False,
        env=environment.without_settings(os.environ),
    )
    if finished.returncode:
        said = (finished.stdout + finished.stderr).strip()
        if beside.exists():
            write_file(beside / "screen.txt", said.encode())
        last = "\n".join(said.splitlines()[-_LAST_LINES:])
        raise CellFailed(f"{', '.join(cell.labels)} did not finish; {beside} has its logs\n{last}")
    write_file(beside / "screen.txt", finished.stdout.encode())
    asked.rename(beside / "asked.yaml")
    beside.rename(folder)


def to_yaml(grid: Grid) -> str:
    """Write a grid as a file that ``Grid.from_yaml`` reads back."""
    axes = {
        name: {label: dict(settings) for label, settings in axis.items()}
        for name, axis in grid.axes.items()
    }
    parts = {"about": grid.about, "base": dict(grid.base), "vary": axes}
    text: str = yaml.safe_dump(parts, sort_keys=False, allow_unicode=True)
    return text
