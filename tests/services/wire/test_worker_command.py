"""The command line of the workers, and how little they load before they have work."""

import subprocess
import sys

import pytest

from fedsiege.v1 import simulator_pb2 as pb
from services.attacker import __main__ as attacker
from services.client import __main__ as client
from services.wire import process, worker


@pytest.fixture
def started(monkeypatch) -> list[worker.Worker]:
    """The workers that would have begun to work."""
    found: list[worker.Worker] = []
    monkeypatch.setattr(process, "run", lambda main: found.append(main.__self__))
    monkeypatch.setattr(process, "tune_allocator", lambda: None)
    monkeypatch.setattr(process, "set_up_logging", lambda *_: None)
    return found


@pytest.mark.parametrize(
    ("module", "kind", "role"),
    [(client, pb.WORKER_KIND_CLIENT, "client"), (attacker, pb.WORKER_KIND_ATTACKER, "attacker")],
)
def test_options_become_a_worker(started, module, kind, role):
    module.main(["--participants", "50", "--simulator", "s:1", "--aggregator", "a:2"])
    module.main(["--name", "mine"])
    first, second = started
    assert (first._simulator, first._aggregator) == ("s:1", "a:2")
    assert (first._hello.kind, first._hello.capacity) == (kind, 50)
    assert first._hello.worker.startswith(f"{role}-")
    assert first._hello.version
    assert (second._hello.worker, second._hello.capacity) == ("mine", 1)
    assert second._simulator.endswith(":50052")
    assert second._aggregator.endswith(":50051")


@pytest.mark.parametrize("arguments", [["--participants", "0"], ["--participants", "x"], ["--no"]])
def test_an_impossible_option_is_named(started, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        client.main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err
    assert started == []


def test_a_worker_without_work_has_not_loaded_torch():
    """Fifty of them start on two cores; torch costs each a second and 200 MB."""
    code = (
        "import sys, services.client.__main__, services.attacker.__main__\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'sklearn' not in sys.modules\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
