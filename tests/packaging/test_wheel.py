"""The source archive and the wheel hold the package with its services, and nothing else."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Built(NamedTuple):
    """A tree and the names of the files in the two archives made from it."""

    tree: Path
    source: set[str]
    wheel: set[str]
    metadata: Message


@pytest.fixture(scope="module")
def built(tmp_path_factory, copy_tree: Callable[[Path], Path]) -> Built:
    tree = copy_tree(tmp_path_factory.mktemp("tree"))
    # Left by earlier builds in many a clone; must reach neither archive.
    (tree / "build/lib/stale").mkdir(parents=True)
    (tree / "build/lib/stale/__init__.py").touch()
    (tree / "fedsiege.egg-info").mkdir()
    (tree / "fedsiege.egg-info/SOURCES.txt").write_text(
        "services/__init__.py\nservices/retry.py\ntests/conftest.py\n"
    )
    archives = tmp_path_factory.mktemp("dist")
    environment = {**os.environ, "BUILD_PYTHON": sys.executable}
    subprocess.run([tree / ".ci/build", archives], env=environment, check=True, timeout=550)
    (source,) = archives.glob("fedsiege-*.tar.gz")
    (wheel,) = archives.glob("fedsiege-*-py3-none-any.whl")
    with tarfile.open(source) as archive:
        members = {name.name.partition("/")[2] for name in archive if name.isfile()}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (path,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(path))
    return Built(tree, members, names, metadata)


def package_files(tree: Path) -> set[str]:
    """Return the files of the package before a build, with those of the linked services/."""
    inside = {path.relative_to(tree) for path in (tree / "fedsiege").rglob("*") if path.is_file()}
    services = {path.relative_to(tree) for path in (tree / "services").rglob("*") if path.is_file()}
    return {str(path) for path in inside} | {f"fedsiege/{path}" for path in services}


def stubs(tree: Path) -> set[str]:
    names = [path.stem for path in (tree / "protos/fedsiege/v1").glob("*.proto")]
    assert names
    endings = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
    files = {f"fedsiege/v1/{name}{ending}" for name in names for ending in endings}
    return files | {"fedsiege/v1/__init__.py"}


def test_the_wheel_has_one_top_level_name(built: Built) -> None:
    tops = {name.partition("/")[0] for name in built.wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fedsiege"}


def test_the_wheel_holds_the_package_and_its_stubs_and_nothing_else(built: Built) -> None:
    inside = {name for name in built.wheel if name.startswith("fedsiege/")}
    assert inside == package_files(built.tree) | stubs(built.tree)
    assert any(name.startswith("fedsiege/services/aggregator/") for name in inside)
    assert any(name.startswith("fedsiege/checkpoints/") for name in inside)
    assert "fedsiege/py.typed" in inside


def test_the_source_archive_holds_what_the_wheel_is_built_from(built: Built) -> None:
    metadata = {name for name in built.source if name.startswith("fedsiege.egg-info/")}
    protos = {f"protos/fedsiege/v1/{path.name}" for path in built.tree.rglob("v1/*.proto")}
    assert protos
    around = {
        *("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md"),
        *("pyproject.toml", "setup.cfg", "setup.py"),
    }
    assert built.source - metadata == package_files(built.tree) | protos | around


def test_the_metadata_is_complete_and_its_links_lead_somewhere(built: Built) -> None:
    """A package index has the text of README.md alone, without the files around it."""
    metadata = built.metadata
    for field in ("Summary", "Author", "License-Expression", "License-File", "Keywords"):
        assert metadata[field], field
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    text = metadata.get_payload()
    assert text.startswith("# FedSiege\n")
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", text) == []
    assert "\n\n\n" not in text
