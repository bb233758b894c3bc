"""``fedsiege serve``: where it listens, and what it says of a port that it cannot listen on."""

import re
import signal
import socket
import subprocess
import sys

import pytest

from fedsiege.services.rpc.server import port_problem

SERVE = [sys.executable, "-m", "fedsiege.cli.main", "serve"]


@pytest.fixture
def taken():
    """A port that a program listens on; the port below is free."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            if not port_problem("127.0.0.1", port - 1):
                yield port
                return


@pytest.mark.parametrize("port", [-1, 65_535, 70_000])
def test_a_port_out_of_range_has_a_sentence(typed, tmp_path, port):
    done = typed("serve", f"--port={port}")
    assert (done.returncode, done.stderr) == (
        2,
        f"PORT={port} is not possible: a port from 1 to 65534, as the simulator takes the next; "
        "or 0, which takes two free ones\n",
    )
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


@pytest.mark.parametrize(("below", "service"), [(0, "aggregator"), (1, "simulator")])
def test_a_port_in_use_has_a_sentence(typed, tmp_path, taken, below, service):
    done = typed("serve", f"--port={taken - below}")
    assert (done.returncode, done.stderr) == (
        2,
        f"PORT={taken - below} is not possible: 127.0.0.1:{taken}, for the {service}, is in use: "
        "another program listens there; 0 takes two free ports\n",
    )
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


@pytest.mark.slow
def test_port_0_takes_two_free_ports_and_says_which(tmp_path):
    process = subprocess.Popen(
        [*SERVE, "--port=0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(2)]
        ports = [int(re.fullmatch(r"\w+ +127\.0\.0\.1:(\d+)\n", line)[1]) for line in said]
        assert len(set(ports)) == 2
        for port in ports:
            assert port > 1023
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", 0, ""),
        ("127.0.0.1", 65_536, "has a port above 65535"),
        ("203.0.113.1", 0, "cannot be listened on: Cannot assign requested address"),
        ("nowhere.invalid", 0, "cannot be listened on: .+"),
    ],
)
def test_why_a_port_cannot_be_listened_on(host, port, reason):
    assert re.fullmatch(reason, port_problem(host, port))
