"""The commands of docs/grpc.md work on services that run."""

import re
import shlex
import signal
import socket
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT, TEXTS, blocks_of
from tests.docs.test_commands import SERVICES

BUF = ROOT / "node_modules" / ".bin" / "buf"


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
def served(tmp_path_factory):
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


def blocks(language: str) -> list[str]:
    """The blocks of docs/grpc.md in a language."""
    found = blocks_of("docs/grpc.md", TEXTS["docs/grpc.md"])
    return [block.text for block in found if block.language == language]


def run(words: list[str], port: int) -> str:
    """Run a command with the simulator's port replaced; return what it printed."""
    shown = [word.replace("50052", str(port + 1)) for word in words]
    done = subprocess.run(shown, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_python_blocks_run(served):
    printed = run([sys.executable, "-c", "\n".join(blocks("python"))], served)
    assert "finished" in printed
    assert "RULE='kram' is not possible: did you mean krum?" in printed
    assert "cancelled" in printed


@pytest.mark.slow
def test_the_commands_of_fedsiege_run(served):
    lines = [line for text in blocks("sh") for line in text.splitlines() if " remote " in line]
    assert len(lines) >= 6
    for line in lines:
        words = [sys.executable, "-m", "fedsiege.cli.main", *shlex.split(line)[1:]]
        assert run([*words, "--address=localhost:50052"], served)


@pytest.mark.slow
@pytest.mark.skipif(
    not (ROOT / "examples/node_modules").exists(), reason="npm install of docs/grpc.md was not run"
)
def test_the_client_in_javascript_runs(served):
    (line,) = [one for text in blocks("sh") for one in text.splitlines() if one[:5] == "node "]
    printed = run(shlex.split(line), served)
    assert [one for one in printed.splitlines() if "round" in one][-1].startswith("round 3: ")
    assert "EXPERIMENT_STATE_FINISHED" in printed


def buf(*words: str, port: int) -> str:
    """Run buf with the ports of the documentation replaced by those of the fixture."""
    shown = [word.replace("50051", str(port)).replace("50052", str(port + 1)) for word in words]
    done = subprocess.run(
        [str(BUF), *shown], capture_output=True, text=True, check=False, timeout=40
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not BUF.exists(), reason="buf is not there: `make proto` installs it")
def test_buf_commands_work_through_reflection(served):
    text = TEXTS["docs/grpc.md"]
    shown = [block.text for block in blocks_of("docs/grpc.md", text) if block.language == "sh"]
    lines = [line for text in shown for line in text.splitlines()]
    lines = [line for line in lines if line.startswith("buf")]
    assert len(lines) >= 2
    assert text.count("grpcurl -plaintext") >= 4
    answers = "".join(buf(*shlex.split(line)[1:], port=served) for line in lines)
    assert "fedsiege.v1.AggregatorService/GetAccuracyHistory" in answers
    assert "experimentId" in answers


@pytest.mark.skipif(not BUF.exists(), reason="buf is not there: `make proto` installs it")
def test_an_experiment_is_started_followed_and_read_by_buf_alone(served):
    def curl(method: str, data: str) -> str:
        port = SERVICES[method.partition("/")[0]][0]
        url = f"http://127.0.0.1:{port}/fedsiege.v1.{method}"
        flags = ("--protocol", "grpc", "--http2-prior-knowledge")
        return buf("curl", *flags, "-d", data, url, port=served)

    spec = '{"spec":{"attack":0.2,"clients":10,"rounds":2,"dataset":"digits","rule":"median"}}'
    started = curl("SimulatorService/StartExperiment", spec)
    experiment = re.search(r'"experimentId": "(\w+)"', started)[1]
    watched = curl("SimulatorService/WatchExperiment", f'{{"experiment_id":"{experiment}"}}')
    assert "EXPERIMENT_STATE_FINISHED" in watched
    federation = re.search(r'"federationId": "(\w+)"', watched)[1]
    history = curl("AggregatorService/GetAccuracyHistory", "{}")
    assert history.count('"accuracy"') == 3
    assert f'"federationId": "{federation}"' in history, "the newest, and it says so"
    asked = f'{{"federation_id":"{federation}"}}'
    people = curl("AggregatorService/ListParticipants", asked)
    assert people.count('"participantIndex"') + people.count("participants") >= 10
