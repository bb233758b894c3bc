"""``fedsiege.run``: settings, progress, errors and ends, without a run."""

import asyncio
import inspect
import io
import signal
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import fedsiege
from fedsiege import running
from fedsiege.errors import InvalidValue, MissingData, RunFailed
from fedsiege.experiment.spec import ExperimentSpec

# --- settings


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that ``run`` would have started, filled by the first run."""
    words: list[str] = []

    class Started(Exception):
        pass

    def start(command: Sequence[str], progress: object) -> None:
        words.extend(command)
        raise Started

    monkeypatch.setattr(running, "_Process", start)

    def run(*spec: object, **options: object) -> list[str]:
        words.clear()
        with pytest.raises(Started):
            fedsiege.run(*spec, **options)
        return words

    return run


def settings_of(words: Sequence[str]) -> ExperimentSpec:
    """Read the settings of a command, as the command line does."""
    given = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
    named = {name.replace("-", "_"): value for name, value in given.items()}
    return ExperimentSpec.of(
        {name: x for name, x in named.items() if name in ExperimentSpec.model_fields}
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rule": "krum:f=1", "attack_name": "mpaf:scale=1e-05", "attack": 0.1 + 0.2},
        {"optimizer": "adam", "lr": 1e-4},
        {"threshold": 5, "clients": 7, "deadline": 2.5, "admission": "token", "name": "a=b --c"},
    ],
)
def test_the_process_gets_the_settings_as_they_are(command, settings, tmp_path: Path) -> None:
    spec = ExperimentSpec.of(settings)
    file = tmp_path / "spec.yaml"
    file.write_text(spec.to_yaml())
    for given in (spec, settings, file, str(file)):
        assert settings_of(command(given)) == spec, f"given as {type(given).__name__}"
    assert settings_of(command(**settings)) == spec
    later = settings_of(command(spec, seed=7))
    assert later == spec.model_copy(update={"seed": 7}), "a keyword overrides"


def test_options_are_those_of_the_command_line(command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = command(
        {"rounds": 3}, out="a run", data="sets", workers=2, plugins=["own.py"], per_container=5
    )
    assert words[:4] == [sys.executable, "-m", "fedsiege.cli.main", "sim"]
    # The folder is there already: a thread may change the working directory at any time.
    assert {f"--out={tmp_path / 'a run'}", f"--plugin={tmp_path / 'own.py'}"} <= set(words)
    assert {"--data=sets", "--workers=2", "--per-container=5", "--rounds=3"} <= set(words)
    assert not [one for one in words if one.startswith(("--image", "--memory", "--rule"))]
    assert not [one for one in command() if one.startswith(("--data", "--out"))]


def test_no_option_is_called_like_a_setting() -> None:
    taken = set(inspect.signature(fedsiege.run).parameters)
    assert not taken & set(ExperimentSpec.model_fields)
    assert inspect.signature(fedsiege.arun) == inspect.signature(fedsiege.run)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"attack": 2}, "ATTACK=2 is not possible: a fraction from 0 to 1"),
        ({"roundz": 2}, "roundz=2 is not possible: there is no such setting, did you mean rounds?"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_starts(
    settings, said, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "_Process", None)
    for attempt in (lambda: fedsiege.run(**settings), lambda: fedsiege.run(settings)):
        with pytest.raises(InvalidValue) as caught:
            attempt()
        assert str(caught.value).startswith(said)
    with pytest.raises(InvalidValue):
        asyncio.run(fedsiege.arun(**settings))
    assert list(tmp_path.iterdir()) == []


def test_a_rule_that_only_this_program_knows_needs_a_file(
    command, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(fedsiege.rules.registry, "_registered", {})

    @fedsiege.rules.register
    @dataclass(frozen=True)
    class Mine(fedsiege.rules.Median):
        name = "of-this-program"
        summary = "the median by another name"

    with pytest.raises(InvalidValue, match=r"registered in .*test_running alone.*plugins=\[FILE\]"):
        fedsiege.run(rule="nnm/of-this-program")
    file = tmp_path / "mine.py"
    assert f"--plugin={file}" in command(rule="of-this-program", plugins=[file])


def test_a_file_of_settings_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(fedsiege.FedSiegeError, match=r"spec\.yaml cannot be read: .*No such file"):
        fedsiege.run(tmp_path / "spec.yaml")


# --- what the process says, with a process that says it


def process(script: str, progress: "running._Progress | None" = None) -> "running._Process":
    """Start a process that says what a script prints with ``say``."""
    before = """
        import json, os, signal, sys, time
        def say(event, **values):
            print(json.dumps({"event": event, **values}), flush=True)
        def round(number):
            say("round", round=number, accuracy=0.5, destroyed=False, asr=None)
    """
    code = textwrap.dedent(before) + textwrap.dedent(script)
    return running._Process([sys.executable, "-c", code], progress)


def test_an_error_before_the_folder_is_raised_as_what_it_is() -> None:
    value = 'say("error", kind="InvalidValue", text="said", name="RULE", value="x", allowed="y")'
    with pytest.raises(InvalidValue, match=r"^said$") as caught:
        process(value).follow()
    assert (caught.value.name, caught.value.value, caught.value.allowed) == ("RULE", "x", "y")
    with pytest.raises(MissingData, match=r"^no file$"):
        process('say("error", kind="MissingData", text="no file")').follow()
    with pytest.raises(fedsiege.FedSiegeError, match=r"^the port$"):
        process('say("error", kind="OfTheServices", text="the port")').follow()


def test_a_run_that_failed_says_why_and_where_its_results_are() -> None:
    folder = 'say("folder", path="/runs/one")\n'
    cases = {
        'say("end", state="failed", problem="no workers")': "no workers; /runs/one has its",
        'say("end", state="cancelled", problem="")': "it was stopped; /runs/one has its",
        'say("error", kind="ServiceDied", text="client-1 ended")': "client-1 ended; /runs/one",
        'sys.exit("a traceback")': "a traceback; /runs/one has its",
        "os.kill(os.getpid(), 9)": "its process ended with status -9; /runs/one has its",
    }
    for script, said in cases.items():
        with pytest.raises(RunFailed) as caught:
            process(folder + script).follow()
        assert f"the run did not finish: {said}" in str(caught.value), script
        assert caught.value.folder == Path("/runs/one")
    with pytest.raises(RunFailed, match="unknown option") as caught:
        process('sys.exit("unknown option")').follow()
    assert caught.value.folder is None


class Interrupting:
    """A progress that is interrupted with the first round, like a cell of a notebook."""

    def show(self, event: dict) -> None:
        if event["event"] == "round":
            raise KeyboardInterrupt

    def close(self) -> None:
        pass


def test_an_interrupt_lets_the_run_end_in_order(tmp_path: Path) -> None:
    script = f"""
        say("folder", path={str(tmp_path)!r})
        round(1)
        print("x" * 1_000_000)  # more than a pipe holds: what is not read must not block the end
        sys.stdin.read()
        open({str(tmp_path / "kept")!r}, "w").close()
    """
    one = process(script, Interrupting())
    with pytest.raises(KeyboardInterrupt) as caught:
        one.follow()
    assert (tmp_path / "kept").exists()
    assert one._process.returncode == 0
    assert caught.value.__notes__ == [f"{tmp_path} has the results so far"]


def test_a_run_that_does_not_end_is_killed(monkeypatch) -> None:
    monkeypatch.setattr(running, "_GRACE", 0.2)
    one = process("round(1)\ntime.sleep(600)", Interrupting())
    with pytest.raises(KeyboardInterrupt):
        one.follow()
    assert one._process.returncode == -signal.SIGKILL


async def test_cancelling_ends_the_run_in_order(tmp_path: Path, monkeypatch) -> None:
    script = f"""
        sys.stdin.read()
        open({str(tmp_path / "kept")!r}, "w").close()
    """
    monkeypatch.setattr(running, "_start", lambda **_: process(script))
    task = asyncio.create_task(fedsiege.arun())
    await asyncio.sleep(0)  # the process has been started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "kept").exists()


# --- progress


def test_the_progress_is_one_line_that_changes(monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr", screen := io.StringIO())
    progress = running._Progress(2)
    progress.show({"event": "spec", "notes": ["krum assumes f=2"], "dataset_reason": ""})
    shown = {"event": "round", "asr": None, "destroyed": False}
    progress.show({**shown, "round": 0, "accuracy": 0.125})
    progress.show({**shown, "round": 1, "accuracy": 0.5, "asr": 0.25})
    progress.show({**shown, "round": 2, "accuracy": None, "destroyed": True})
    progress.close()
    lines = screen.getvalue().split("\n")
    assert [one.split("\r")[-1].rstrip() for one in lines] == [
        "krum assumes f=2",
        "round 2/2: accuracy destroyed",
        "",
    ]
    written = lines[1].split("\r")
    assert written[1] == "round 0/2: accuracy 12.5%"
    assert written[2].startswith("round 1/2: accuracy 50.0%, attack success 25.0%, about ")
    assert len(written[3]) == len(written[2]), "a shorter text covers the longer one before"


def test_the_progress_is_shown_on_a_terminal_and_in_a_notebook(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class OfNotebook(io.StringIO):
        __module__ = "ipykernel.iostream"

    for stream, shown in ((io.StringIO(), False), (Terminal(), True), (OfNotebook(), True)):
        monkeypatch.setattr("sys.stderr", stream)
        assert running._is_shown(None) is shown
        assert running._is_shown(True)
        assert not running._is_shown(False)
