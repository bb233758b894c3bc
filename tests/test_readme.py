"""The README is true: its commands and its code are run as they stand there."""

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from fedsiege.cli import main
from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BUF = ROOT / "node_modules" / ".bin" / "buf"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_examples_run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def made(line: str) -> list[str]:
    """The words of the last command that `make` would run for a line of the README."""
    options = ["--no-print-directory", "-n", "-o", ".venv/.ready", "-o", ".venv/.ready-dev"]
    words = shlex.split(line, comments=True)[1:]
    done = subprocess.run(
        ["make", *options, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.replace("\\\n", " ").strip().splitlines()[-1]
    return shlex.split(last.replace("$(nproc)", "2"))


COMMANDS = typer.main.get_command(main.app).commands
MADE = sorted(
    set(re.findall(r"^(make [a-z].*)$", "\n".join(blocks("sh")), re.MULTILINE))
    | set(re.findall(r"`(make [a-z][^`]*)`", README))
)
TYPED = sorted(
    {line for line in re.findall(r"`(?:\.venv/bin/)?(fedsiege [a-z][^`]*)`", README) if " " in line}
)


@pytest.mark.parametrize("line", MADE)
def test_what_is_made_is_a_target_and_takes_its_variables(line):
    words = made(line)
    if "fedsiege" in words[1] and words[2] in COMMANDS:
        COMMANDS[words[2]].make_context(words[2], words[3:])


@pytest.mark.parametrize("line", TYPED)
def test_what_is_typed_is_a_command_and_takes_its_options(line):
    _, name, *options = shlex.split(line)
    if "--help" not in options:
        COMMANDS[name].make_context(name, options)
    assert name in COMMANDS


def test_the_table_of_variables_has_their_defaults():
    makefile = dict(re.findall(r"^([A-Z_]+) \?= *(.*)$", (ROOT / "Makefile").read_text(), re.M))
    rows = re.findall(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (.*?) \|", README, re.MULTILINE)
    words = dict.fromkeys(("all", "none", "open", "pretrained"), "") | {"data/": "data"}
    told = {}
    for names, defaults in rows:
        told |= dict(zip(re.findall("[A-Z_]+", names), defaults.split(", "), strict=True))
    assert len(told) > 20
    for name, default in told.items():
        assert words.get(default, default) == makefile[name], name


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_an_impossible_request_is_answered_as_shown():
    with pytest.raises(InvalidValue) as refused:
        ExperimentSpec.of({"attack": 1.2})
    assert f'"message": "{refused.value}"' in README


def free_ports() -> int:
    """Two neighbouring ports that are free; return the first."""
    for port in range(51_000, 60_000, 2):
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no free ports")


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """The services of `make serve`, on ports of their own; yields the aggregator's."""
    folder, port = tmp_path_factory.mktemp("serve"), free_ports()
    command = [sys.executable, "-m", "fedsiege.cli.main", "serve", f"--port={port}"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "Ctrl-C" not in process.stdout.readline():
            assert process.poll() is None
        yield port
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def buf_commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith("buf")]


def test_the_readme_shows_commands_for_buf_and_grpcurl():
    assert len(buf_commands()) >= 2
    assert README.count("grpcurl -plaintext") >= 4


@pytest.mark.skipif(not BUF.exists(), reason="buf is not there: `make proto` installs it")
def test_buf_commands_work_through_reflection(standing):
    answers = []
    for command in buf_commands():
        words = shlex.split(
            command.replace("50051", str(standing)).replace("50052", str(standing + 1))
        )
        done = subprocess.run(
            [str(BUF), *words[1:]], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout)
    assert "fedsiege.v1.AggregatorService/GetAccuracyHistory" in "".join(answers)
    assert "experimentId" in "".join(answers)


@pytest.mark.skipif(not BUF.exists(), reason="buf is not there: `make proto` installs it")
def test_an_experiment_is_started_followed_and_read_by_buf_alone(standing):
    def curl(method: str, data: str, port: int) -> str:
        done = subprocess.run(
            [
                str(BUF),
                "curl",
                "--protocol",
                "grpc",
                "--http2-prior-knowledge",
                "-d",
                data,
                f"http://127.0.0.1:{port}/fedsiege.v1.{method}",
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=40,
        )
        return done.stdout

    spec = '{"spec":{"attack":0.2,"clients":10,"rounds":2,"dataset":"digits","rule":"median"}}'
    started = curl("SimulatorService/StartExperiment", spec, standing + 1)
    experiment = re.search(r'"experimentId": "(\w+)"', started)[1]
    watched = curl(
        "SimulatorService/WatchExperiment", f'{{"experiment_id":"{experiment}"}}', standing + 1
    )
    assert "EXPERIMENT_STATE_FINISHED" in watched
    federation = re.search(r'"federationId": "(\w+)"', watched)[1]
    history = curl("AggregatorService/GetAccuracyHistory", "{}", standing)
    assert history.count('"accuracy"') == 3
    assert f'"federationId": "{federation}"' in history, "the newest, and it says so"
    asked = f'{{"federation_id":"{federation}"}}'
    people = curl("AggregatorService/ListParticipants", asked, standing)
    assert people.count('"participantIndex"') + people.count("participants") >= 10
