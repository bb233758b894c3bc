"""The README is true: its commands and its code are run as they stand there."""

import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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
    command = [sys.executable, "-m", "services.simulator.cli", "serve", f"--port={port}"]
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
    asked = f'{{"federation_id":"{federation}"}}'
    history = curl("AggregatorService/GetAccuracyHistory", asked, standing)
    assert history.count('"accuracy"') == 3
    people = curl("AggregatorService/ListParticipants", asked, standing)
    assert people.count('"participantIndex"') + people.count("participants") >= 10
