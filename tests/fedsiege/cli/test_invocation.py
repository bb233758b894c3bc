"""Commands that people are told to type next can be typed where they are."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fedsiege.cli import invocation
from fedsiege.cli.invocation import clean_command
from fedsiege.results import RunRecords
from tests.fedsiege.conftest import WriteRun


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program in an environment below the working directory, which is not on the path."""
    path = tmp_path / ".venv" / "bin" / "fedsiege"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    return path


@pytest.mark.parametrize("typed", [".venv/bin/fedsiege", "{}/.venv/bin/fedsiege"])
def test_a_program_off_the_path_is_called_by_its_path(
    typed: str, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [typed.format(tmp_path), "show"])
    assert invocation.program() == [".venv/bin/fedsiege"]
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "argv", [str(installed), "show"])
    assert invocation.program() == [str(installed).removeprefix("/")]


def test_a_program_on_the_path_is_called_by_its_name(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(installed.parent))
    monkeypatch.setattr(sys, "argv", [str(installed), "show"])
    assert invocation.program() == ["fedsiege"]


def test_what_is_not_the_command_line_names_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/pytest"])
    assert invocation.program() == ["fedsiege"]


def test_paths_below_the_working_directory_are_relative(
    tmp_path: Path, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunRecords.read(write_run(tmp_path / "runs" / "one"))
    monkeypatch.chdir(tmp_path)
    words = shlex.split(clean_command(run))
    assert words[2:] == ["--spec=runs/one/spec.yaml", "--attack=0", "--out=runs/one-clean"]


def test_show_suggests_a_command_that_works_where_it_was_typed(
    tmp_path: Path, write_run: WriteRun
) -> None:
    write_run(tmp_path / "runs" / "siege")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    shown = subprocess.run(
        [sys.executable, "-m", "fedsiege.cli.main", "show", "siege"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    command = shlex.split(shown.stdout.splitlines()[-1])
    assert "--spec=runs/siege/spec.yaml" in command
    program = command[: command.index("sim")]
    again = subprocess.run(
        [*program, "sim", "--help"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert again.returncode == 0


def test_the_command_for_the_twin_makes_it(tmp_path: Path, write_run: WriteRun) -> None:
    run = RunRecords.read(write_run(tmp_path / "a run", intrusions="replay"))
    assert clean_command(run) == (
        f"fedsiege sim '--spec={tmp_path}/a run/spec.yaml' --attack=0 "
        f"'--out={tmp_path}/a run-clean' --intrusions="
    )
