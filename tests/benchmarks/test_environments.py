"""Peers live in environments of their own and never among our dependencies."""

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks import environments
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


def test_an_environment_is_made_anew_when_its_list_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    monkeypatch.setattr(environments, "_ENVIRONMENTS", tmp_path)
    (tmp_path / "peer.txt").write_text("# nothing to install\n")
    peer = Environment("peer")
    assert not peer.is_ready

    peer.prepare()
    assert peer.is_ready
    assert peer.python.exists()

    (tmp_path / "peer.txt").write_text("# now something else\n")
    assert not peer.is_ready
