"""``fedsiege.run``: whole runs, from scripts, threads and event loops, and how they end."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fedsiege
from fedsiege.errors import InvalidValue, RunFailed
from fedsiege.results import RunState

pytestmark = pytest.mark.slow

#: A run that takes a second, and one that would take minutes.
SHORT = {"dataset": "digits", "rounds": 2, "clients": 10, "attack": 0.2}
LONG = {**SHORT, "rounds": 100_000}


def processes(mark: object) -> list[int]:
    """Return the processes that have a text in their command line, except this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:  # it has ended
            continue
        if str(mark).encode() in command and path.parent.name != str(os.getpid()):
            found.append(int(path.parent.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def rounds_in(folder: Path) -> int:
    """Return how many rounds a results folder has so far."""
    history = folder / "history.csv"
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


@pytest.fixture
def script(tmp_path: Path) -> Iterator:
    """Start a script in a process; what it leaves is killed."""
    started = []

    def start(code: str, **environment: str) -> subprocess.Popen:
        file = tmp_path / "script.py"
        file.write_text(textwrap.dedent(code))
        one = subprocess.Popen(
            [sys.executable, file],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()
        one.communicate()
    for number in processes(tmp_path):
        os.kill(number, signal.SIGKILL)


def test_a_script_needs_no_guard_and_runs_as_often_as_it_likes(script, tmp_path: Path) -> None:
    # The script's folder has a file that is called like a module of the standard library, and the
    # script uses gRPC itself.
    (tmp_path / "secrets.py").write_text("raise SystemExit('the wrong secrets')")
    code = f"""
        import sys
        del sys.path[0]
        from concurrent.futures import ThreadPoolExecutor
        import fedsiege, grpc
        grpc.server(ThreadPoolExecutor(1)).start()
        one = fedsiege.run({SHORT}, out="one")
        two = fedsiege.run(one.spec, out="two")
        print(one.history.drop(columns="seconds").equals(two.history.drop(columns="seconds")))
        with ThreadPoolExecutor(2) as threads:
            runs = threads.map(lambda seed: fedsiege.run({SHORT}, seed=seed), (1, 2))
        print(sorted(run.spec.seed for run in runs), one.spec.rule, one.path.is_absolute())
    """
    said, problems = script(code, FEDSIEGE_RULE="median", FEDSIEGE_ROUNDZ="3").communicate()
    assert said.splitlines() == ["True", "[1, 2] fedavg:weighted=False,bound=1000 True"], problems
    assert problems == "", "no terminal, no progress"
    assert processes(tmp_path) == []


async def test_a_run_in_a_running_event_loop(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = fedsiege.run(SHORT, progress=False)  # blocks, as in a cell of a notebook
    second, third = await asyncio.gather(
        fedsiege.arun(SHORT, out="second"), fedsiege.arun(SHORT, out="third", attack=0)
    )
    assert list(first.history["accuracy"]) == list(second.history["accuracy"])
    assert third.spec.attack == 0
    assert first.info.state is RunState.FINISHED
    assert len(first.participants) == 20


async def test_a_cancelled_run_keeps_its_results_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    task = asyncio.create_task(fedsiege.arun(LONG, out=folder))
    await asyncio.to_thread(wait_until, lambda: rounds_in(folder) > 2)
    assert len(processes(folder)) > 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes(folder) == []
    run = fedsiege.load(folder)
    assert run.info.state is RunState.CANCELLED
    assert len(run.history) < LONG["rounds"]


def start_long(script, folder: Path) -> subprocess.Popen:
    one = script(f"import fedsiege\nfedsiege.run({LONG}, out={str(folder)!r}, progress=True)\n")
    wait_until(lambda: rounds_in(folder) > 2)
    return one


def test_ctrl_c_ends_the_run_in_order(script, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    one = start_long(script, folder)
    one.send_signal(signal.SIGINT)
    _, problems = one.communicate(timeout=60)
    assert processes(folder) == []
    assert "KeyboardInterrupt" in problems
    assert f"{folder} has the results so far" in problems
    run = fedsiege.load(folder)
    assert run.info.state is RunState.CANCELLED
    assert run.plot() is not None


def test_a_run_ends_with_the_script_that_is_killed(script, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    one = start_long(script, folder)
    one.kill()
    one.communicate()
    wait_until(lambda: processes(folder) == [])
    assert fedsiege.load(folder).info.state is RunState.CANCELLED


def test_a_run_whose_process_is_killed_fails(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(fedsiege.run, LONG, out=folder)
        wait_until(lambda: rounds_in(folder) > 2)
        os.kill(min(processes(folder)), signal.SIGKILL)
        with pytest.raises(RunFailed, match="its process ended with status -9") as caught:
            following.result(timeout=60)
    assert caught.value.folder == folder
    assert processes(folder) == [], "the services have ended with it"


def test_what_only_the_run_can_tell_is_the_text_of_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    wrong = {"rule": "krum:f=99", "dataset": "digits"}
    with pytest.raises(InvalidValue) as caught:
        fedsiege.run(wrong, out=folder)
    options = [f"--{name}={value}" for name, value in wrong.items()]
    command = [sys.executable, "-m", "fedsiege.cli.main", "sim", f"--out={folder}", *options]
    typed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert " ".join(str(caught.value).split()) == " ".join(typed.stderr.split())
    assert not folder.exists()


def test_the_clean_twin_is_run_on_request(tmp_path: Path) -> None:
    run = fedsiege.run(SHORT, out=tmp_path / "run", baseline="run", progress=False)
    assert run.info.clean_twin == "../run-clean"
    assert run.summary["accuracy_clean"] is not None
