"""``make release`` writes, commits, tags and builds a version, or changes nothing at all."""

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- A thing.

## [0.0.1] - 2020-01-01

- The first.
"""


@pytest.fixture
def clone(tmp_path: Path, copy_tree: Callable[[Path], Path]) -> Path:
    """A repository of its own with the tree, all committed, on its branch main."""
    folder = copy_tree(tmp_path / "clone")
    shutil.rmtree(folder / "tests")
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.name", "Tester")
    git(folder, "config", "user.email", "tester@localhost")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "tests: start")
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def release(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / ".ci/release.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def state(folder: Path) -> tuple[object, ...]:
    """All that a release may change: branch, tags, work trees and files."""
    refs = git(folder, "for-each-ref", "--format=%(refname) %(objectname)")
    files = {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }
    return refs, git(folder, "symbolic-ref", "HEAD"), git(folder, "worktree", "list"), files


def refused(folder: Path, *arguments: str) -> str:
    """Return why there is no release; fail if there is one, or if it left anything behind."""
    before = state(folder)
    done = release(folder, *arguments)
    assert done.returncode == 1, done
    assert state(folder) == before
    return done.stderr


def test_a_wrong_version_is_refused(clone: Path) -> None:
    cases = {
        (): "takes VERSION=1.2.3 and nothing else, not nothing",
        ("VERSION=1.0.0", "ROUNDS=2"): "not VERSION=1.0.0 ROUNDS=2",
        ("VERSION=1.0",): "VERSION='1.0' is not three numbers",
        ("VERSION=v1.0.0",): "VERSION='v1.0.0' is not three numbers",
        ("VERSION=0.0.9",): "VERSION=0.0.9 is not newer than 0.1.0",
        ("VERSION=0.1.0",): "VERSION=0.1.0 is not newer than 0.1.0",
    }
    for arguments, reason in cases.items():
        assert reason in refused(clone, *arguments), arguments


def test_a_tree_that_is_not_ready_is_refused(clone: Path) -> None:
    (clone / "new.txt").touch()
    assert "changes that are not committed:\n?? new.txt" in refused(clone, "VERSION=1.0.0")
    (clone / "new.txt").unlink()

    git(clone, "tag", "v1.0.0")
    assert "the tag v1.0.0 is there already" in refused(clone, "VERSION=1.0.0")
    git(clone, "tag", "--delete", "v1.0.0")

    git(clone, "checkout", "--quiet", "-b", "topic")
    assert "this is the branch topic" in refused(clone, "VERSION=1.0.0")
    git(clone, "checkout", "--quiet", "main")

    (clone / "CHANGELOG.md").write_text(CHANGELOG.replace("- A thing.\n", ""))
    git(clone, "commit", "--quiet", "--all", "-m", "tests: no entry")
    assert "no entry below '## [Unreleased]'" in refused(clone, "VERSION=1.0.0")


def test_a_build_that_fails_leaves_nothing_behind(clone: Path) -> None:
    (clone / ".ci/build").write_text("#!/bin/sh\necho this build is broken >&2\nexit 1\n")
    git(clone, "commit", "--quiet", "--all", "-m", "tests: break the build")
    said = refused(clone, "VERSION=1.0.0")
    assert "this build is broken" in said
    assert "the archives cannot be built" in said


def test_a_branch_that_moved_in_the_meantime_leaves_nothing_behind(clone: Path) -> None:
    """The tag and the archives are there already when the branch cannot follow."""
    (clone / ".ci/build").write_text(
        '#!/bin/sh\ncd "$(dirname "$0")/.."\nmkdir dist\ntouch dist/archive\n'
        f"git -C '{clone}' commit --quiet --allow-empty -m 'tests: meanwhile'\n"
    )
    git(clone, "commit", "--quiet", "--all", "-m", "tests: move the branch")
    done = release(clone, "VERSION=1.0.0")
    assert done.returncode == 1
    assert "git merge failed" in done.stderr
    assert git(clone, "log", "-1", "--format=%s") == "tests: meanwhile"
    assert git(clone, "tag", "--list") == ""
    assert git(clone, "status", "--porcelain", "--ignored") in ("", "!! dist/")
    assert list((clone / "dist").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_release_is_written_committed_tagged_and_built(clone: Path) -> None:
    done = release(clone, "VERSION=0.2.0")
    assert done.returncode == 0, done.stderr
    assert "git push origin main v0.2.0" in done.stdout
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "log", "-1", "--format=%s") == "release: 0.2.0"
    assert git(clone, "rev-parse", "v0.2.0^{commit}") == git(clone, "rev-parse", "main")
    assert git(clone, "cat-file", "-t", "v0.2.0") == "tag"
    assert len(git(clone, "worktree", "list").splitlines()) == 1
    changed = git(clone, "diff", "--name-only", "HEAD~1").split()
    assert changed == ["CHANGELOG.md", "CITATION.cff", "pyproject.toml"]
    assert 'version = "0.2.0"' in (clone / "pyproject.toml").read_text().splitlines()
    assert "version: 0.2.0" in (clone / "CITATION.cff").read_text().splitlines()
    heading = f"## [Unreleased]\n\n## [0.2.0] - {datetime.now(UTC).date()}\n\n### Added\n"
    assert heading in (clone / "CHANGELOG.md").read_text()
    names = sorted(path.name for path in (clone / "dist").iterdir())
    assert names == ["fedsiege-0.2.0-py3-none-any.whl", "fedsiege-0.2.0.tar.gz"]
    with tarfile.open(clone / "dist/fedsiege-0.2.0.tar.gz") as archive:
        citation = archive.extractfile("fedsiege-0.2.0/CITATION.cff")
        assert citation is not None
        assert b"version: 0.2.0" in citation.read().splitlines()
