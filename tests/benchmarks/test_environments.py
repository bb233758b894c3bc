"""Peers have environments of their own and are not among our dependencies."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.contest import ContenderError
from benchmarks.environments import PEERS, Environment
from benchmarks.processes import ROOT


def packages(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("path", sorted(PEERS.glob("*.txt")), ids=lambda path: path.stem)
def test_packages_of_peers_are_pinned(path: Path) -> None:
    for package in packages(path):
        assert re.fullmatch(r"[\w\[\]-]+==[\w.]+", package)


def test_no_peer_is_a_dependency_of_ours() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    ours = [package for group in groups for package in group]
    assert ours
    assert not [package for package in ours if re.match(r"(flwr|ray)\b", package)]


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A peer without packages, whose interpreter is the script ``installer``."""
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    monkeypatch.setattr(environments, "_ENVIRONMENTS", tmp_path)
    (tmp_path / "peer.txt").write_text("# nothing\n")
    (tmp_path / "installer").write_text("#!/bin/sh\nexit 0\n")

    def create(folder: Path, with_pip: bool) -> None:
        (folder / "bin").mkdir(parents=True)
        shutil.copy(tmp_path / "installer", folder / "bin" / "python")
        (folder / "bin" / "python").chmod(0o755)

    monkeypatch.setattr(environments.venv, "create", create)
    return Environment("peer")


def test_an_environment_is_made_again_only_if_its_list_changes(
    peer: Environment, tmp_path: Path
) -> None:
    assert not peer.is_ready
    peer.prepare()
    assert peer.is_ready

    (peer.folder / "kept").touch()
    peer.prepare()
    assert (peer.folder / "kept").exists()

    (tmp_path / "peer.txt").write_text("# something else\n")
    assert not peer.is_ready
    peer.prepare()
    assert peer.is_ready
    assert not (peer.folder / "kept").exists()


def test_an_environment_that_cannot_be_installed_is_not_ready(
    peer: Environment, tmp_path: Path
) -> None:
    (tmp_path / "installer").write_text("#!/bin/sh\necho no such package >&2\nexit 1\n")

    with pytest.raises(ContenderError, match="peer cannot be installed: no such package"):
        peer.prepare()

    assert not peer.is_ready
