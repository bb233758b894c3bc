"""A contender's process is run to its end or terminated, and failures are reported."""

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.contest import ContenderError
from benchmarks.processes import last_json, running


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_last_line_is_returned() -> None:
    code = 'import os; print("hello"); print("{\\"a\\": %s}" % os.environ["NUMBER"])'
    assert last_json(python(code), timeout=30, environment={"NUMBER": "7"}) == {"a": 7}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ('import sys; print("no memory", file=sys.stderr); sys.exit(3)', "status 3: no memory"),
        ('print("no braces")', "printed no JSON: no braces"),
        ("", "printed no JSON: no output"),
    ],
)
def test_a_failure_has_the_reason(code: str, why: str) -> None:
    with pytest.raises(ContenderError, match=why):
        last_json(python(code), timeout=30)


def test_a_process_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path({str(pids)!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
print("started", flush=True)
time.sleep(60)
"""
    with running(python(code)) as process:
        process.line("started", timeout=30)
        process.grace = 0.1

    for pid in pids.read_text().split():
        while is_running(int(pid)):  # the kernel may take a moment; the test's timeout is the limit
            time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process lives; one that has ended but was not fetched by its parent does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_running_past_the_limit_is_a_failure() -> None:
    with pytest.raises(ContenderError, match=r"took more than 0\.2 s"):
        last_json(python("import time; time.sleep(60)"), timeout=0.2)


def test_a_line_is_waited_for() -> None:
    with running(python('print("noise"); print("port 17", flush=True); input()')) as process:
        assert process.line("port ", timeout=30) == "17"
        assert is_running(process.child.pid)
    assert process.child.returncode is not None


def test_a_process_that_ends_without_the_line_is_a_failure() -> None:
    with (
        running(python('raise SystemExit("no port is free")')) as process,
        pytest.raises(ContenderError, match=r"did not print 'port '.*no port is free"),
    ):
        process.line("port ", timeout=30)


def test_environment_variables_are_added() -> None:
    code = 'import json, os; print(json.dumps({"path": os.environ["PATH"]}))'
    assert last_json(python(code), timeout=30, environment={"X": "1"}) == {
        "path": os.environ["PATH"]
    }
