"""Files are complete under their name, or not there; nothing temporary is left."""

import errno
import os
import stat
from pathlib import Path

import pytest

from fedsiege.atomic import Content, atomic_path, create_folder, describe_error, write_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with atomic_path(path) as partial:
            partial.write_text("half")
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_path(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(FileNotFoundError) as caught:
        write_file(path, b"")
    assert caught.value.filename == str(path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    assert describe_error(full).startswith(f"{path} cannot be written: no space is left")
    assert describe_error(caught.value) == f"{path}: No such file or directory"


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    write_file(path, b"1")
    assert path.read_bytes() == b"1"


def test_the_permissions_are_those_asked_for_until_somebody_changes_them(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    write_file(key, b"1", 0o600)
    assert mode(key) == 0o600
    key.chmod(0o640)
    write_file(key, b"2", 0o600)
    assert (mode(key), key.read_bytes()) == (0o640, b"2")


def test_a_secret_is_never_readable_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda opened: seen.append(os.fstat(opened).st_mode & 0o777))
    opened_with = []
    really_open = os.open
    monkeypatch.setattr(
        os, "open", lambda *given: (opened_with.append(given[2]), really_open(*given))[1]
    )
    write_file(tmp_path / "key.pem", b"secret", 0o600)
    assert (opened_with, seen) == ([0o600], [0o600])


def test_a_folder_appears_with_all_its_files_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    create_folder(folder, {"key": Content(b"k", 0o600), "certificate": Content(b"c")}, 0o700)
    assert (mode(folder), mode(folder / "key"), mode(folder / "certificate")) == (
        0o700,
        0o600,
        0o644,
    )
    with pytest.raises(FileExistsError, match="bundle exists already"):
        create_folder(folder, {"key": Content(b"other")}, 0o700)
    assert (folder / "key").read_bytes() == b"k"
    with pytest.raises(OSError, match="No such file"):
        create_folder(tmp_path / "broken", {"a": Content(b""), "b/c": Content(b"")}, 0o700)
    assert list(tmp_path.iterdir()) == [folder]
