"""A download never hangs and never looks complete when it is not. No test leaves this machine."""

import gzip
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from fedsiege import datasets, torchvision_import
from fedsiege.datasets import download, torchvision_download
from fedsiege.datasets.mnist import Fashion, Mnist
from fedsiege.errors import MissingData

#: Nothing listens there.
CLOSED = "http://127.0.0.1:1/"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, write_mnist: Callable[[Path], None]) -> Iterator[tuple[str, Path]]:
    """A mirror of a small MNIST on this machine: its address and the folder it serves."""
    served = tmp_path / "mirror"
    write_mnist(served)
    for file in list(served.iterdir()):
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
    with HTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(served))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", served
        server.shutdown()
        thread.join()


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in the place of the process that downloads."""

    def replace(script: str) -> None:
        path = tmp_path / "child"
        # -m module MNIST FOLDER LIMIT MIRROR...
        path.write_text(f"#!/bin/sh\nraw=$4/MNIST/raw; mkdir -p $raw\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(download.sys, "executable", str(path))

    return replace


def left_behind(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() or path.name.startswith(".")]


def test_a_download_moves_all_files_into_place(
    child: Callable[[str], None], mirror: tuple[str, Path], tmp_path: Path
) -> None:
    child(f"cp {mirror[1]}/*-ubyte $raw")
    root = tmp_path / "new" / "data"
    data = datasets.load("mnist", root)
    assert len(data.train_labels) == 30
    assert sorted(path.name for path in left_behind(root)) == sorted(
        file.name for file in Mnist.download.files
    )


def test_a_missing_file_is_fetched_and_the_others_are_replaced_whole(
    child: Callable[[str], None], mirror: tuple[str, Path], root: Path
) -> None:
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    child(f"cp {mirror[1]}/*-ubyte $raw")
    assert len(datasets.load("mnist", root).test_labels) == 12


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("touch $raw/train-images-idx3-ubyte; exec sleep 60", "within 0.3 s$"),
        ("touch $raw/train-images-idx3-ubyte; echo 1 % >&2; echo no space >&2; exit 1",
         r"\(no space\)$"),
        ("exit 3", r"\(exit status 3\)$"),
        ("touch $raw/unexpected", "No such file"),
    ],
    ids=["too slow", "fails", "dies", "incomplete"],
)  # fmt: skip
def test_a_download_that_fails_says_why_and_leaves_nothing(
    script: str, problem: str, child: Callable[[str], None], tmp_path: Path
) -> None:
    child(script)
    root = tmp_path / "data"
    with pytest.raises(
        MissingData, match=rf"^MNIST is not in {root}/ and could not be downloaded .*{problem}"
    ):
        Mnist().fetch(root, 0.3 if "sleep" in script else 30)
    assert left_behind(root) == []


def test_a_root_that_cannot_be_made_is_a_failed_download(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MissingData, match=r"could not be downloaded .*file"):
        Fashion().fetch(tmp_path / "file" / "data", 5)


def test_without_a_network_the_process_gives_up_before_it_imports_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fedsiege.datasets.torchvision_download",
         "MNIST", str(tmp_path), "30", CLOSED, CLOSED],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1] == "no network: Connection refused"
    assert " torch\n" not in done.stderr


def test_a_mirror_that_answers_with_an_error_is_there(mirror: tuple[str, Path]) -> None:
    assert torchvision_download.unreachable(mirror[0]) is None
    assert torchvision_download.unreachable(mirror[0] + "absent") is None
    assert torchvision_download.unreachable(CLOSED) == "Connection refused"


@pytest.fixture
def inside_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child's main run in this process without its time limits."""
    monkeypatch.setattr(torchvision_download.signal, "alarm", lambda seconds: None)
    monkeypatch.setattr(torchvision_download.socket, "setdefaulttimeout", lambda seconds: None)


@pytest.mark.usefixtures("inside_the_child")
def test_torchvision_downloads_from_its_mirrors(
    mirror: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served = mirror
    mnist = torchvision_import.load().datasets.MNIST
    monkeypatch.setattr(mnist, "mirrors", [address])
    monkeypatch.setattr(mnist, "resources", [
        (file.name, hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest())
        for file in served.glob("*.gz")
    ])  # fmt: skip
    root = tmp_path / "data"
    torchvision_download.main(["MNIST", str(root), "30", CLOSED, address])
    assert datasets.is_here("mnist", root)
    assert len(datasets.load("mnist", root).train_labels) == 30


@pytest.mark.usefixtures("inside_the_child")
def test_a_download_torchvision_refuses_ends_with_its_reason(
    mirror: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mnist = torchvision_import.load().datasets.MNIST
    monkeypatch.setattr(mnist, "mirrors", [mirror[0]])
    monkeypatch.setattr(mnist, "resources", [("train-images-idx3-ubyte.gz", "0" * 32)])
    with pytest.raises(SystemExit, match=r"^[^\n]*(corrupted|Error downloading)[^\n]*$"):
        torchvision_download.main(["MNIST", str(tmp_path), "30", mirror[0]])


@pytest.mark.parametrize("source", [Mnist, Fashion])
def test_the_mirrors_asked_are_torchvisions(source: type[Mnist] | type[Fashion]) -> None:
    theirs = getattr(torchvision_import.load().datasets, source.download.class_name)
    assert source.download.mirrors == tuple(theirs.mirrors)
    names = {Path(name).stem for name, _ in theirs.resources}
    assert {file.name for file in source.download.files} == names
