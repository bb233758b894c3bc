"""The command line, run in this process: a process of its own spends a second on imports."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsiege.cli import main

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Run ``fedsiege`` with arguments in an empty folder; returns its status and what it wrote."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["fedsiege", *arguments])
        with pytest.raises(SystemExit) as left:
            main.main()
        written = capsys.readouterr()
        return subprocess.CompletedProcess(
            list(arguments), int(left.value.code or 0), written.out, written.err
        )

    return run
