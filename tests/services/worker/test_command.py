"""Tests of the workers' command line, and of what they import before their first task."""

import subprocess
import sys

import pytest

from fedsiege.services.attacker import __main__ as attacker
from fedsiege.services.client import __main__ as client
from fedsiege.services.identity.authority import Authority
from fedsiege.services.rpc import process
from fedsiege.services.worker import worker
from fedsiege.v1 import simulator_pb2 as pb


@pytest.fixture
def started(monkeypatch) -> list[worker.Worker]:
    """Record the workers that would have been started."""
    found: list[worker.Worker] = []

    async def begin(self: worker.Worker) -> None:
        found.append(self)

    monkeypatch.setattr(worker.Worker, "run", begin)
    monkeypatch.setattr(process, "tune_allocator", lambda: None)
    monkeypatch.setattr(process, "set_up_logging", lambda *_: None)
    return found


@pytest.mark.parametrize(
    ("module", "kind", "role"),
    [(client, pb.WORKER_KIND_CLIENT, "client"), (attacker, pb.WORKER_KIND_ATTACKER, "attacker")],
)
def test_options_configure_the_worker(started, module, kind, role):
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


@pytest.fixture
def identities(tmp_path, monkeypatch):
    """A file of two tokens, an identity with as many, a certificate for three participants."""
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("two").write_text("t0\nt1\n")
    tmp_path.joinpath("identities").mkdir()
    tmp_path.joinpath("identities", "w7.tokens").write_text("t0\nt1\n")
    Authority.create(tmp_path / "certs").issue("c3", participants=3)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--tokens=two", "--name=mine"], "mine"),
        (["--identities=identities"], "w7"),
        (["--place=identities"], "w7"),  # the older name of the option
        (["--certs=certs/c3"], "c3"),
        (["--certs=certs/c3", "--tokens=two"], "c3"),
    ],
)
def test_tokens_and_certificates_reach_the_worker(started, identities, arguments, name):
    client.main(["--participants=2", *arguments])
    (one,) = started
    assert one._hello.worker == name
    assert one._enroller.tokens == (("t0", "t1") if "two" in str(arguments) or name == "w7" else ())
    assert (one._identity.tls is not None) == ("--certs=certs/c3" in arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tokens=two", "--participants=3"], "up to 2, the number of tokens"),
        (["--identities=identities", "--participants=3"], "up to 2, the number of tokens"),
        (
            ["--certs=certs/c3", "--participants=4"],
            "up to 3, the number of participants in",
        ),
        (["--certs=certs/c3", "--name=other"], "c3"),
        (["--certs=nowhere"], "nowhere"),
        (["--tokens=nowhere"], "nowhere"),
        (["--identities=nowhere"], "nowhere"),
        (["--identities=identities", "--name=mine"], "--identities"),
    ],
)
def test_a_client_with_too_few_tokens_does_not_start(started, identities, capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        client.main(arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
    assert started == []


def test_an_attacker_with_too_few_tokens_starts(started, identities, caplog):
    attacker.main(["--tokens=two", "--participants=50"])
    attacker.main(["--certs=certs/c3", "--participants=50"])
    assert [one._hello.capacity for one in started] == [50, 50]
    assert "50 participants, but only 2 tokens" in caplog.text
    assert "50 participants, but only 3 participants in the certificate" in caplog.text


@pytest.mark.parametrize("arguments", [["--participants", "0"], ["--participants", "x"], ["--no"]])
def test_an_invalid_option_is_named(started, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        client.main(arguments)
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err
    assert started == []


def test_an_idle_worker_has_not_imported_torch():
    """Fifty workers start on two cores; torch takes each of them a second and 200 MB."""
    code = (
        "import sys, fedsiege.services.client.__main__, fedsiege.services.attacker.__main__\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'sklearn' not in sys.modules\n"
        "assert 'cryptography' not in sys.modules\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
