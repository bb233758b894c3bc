"""Files are converted once, and all processes map the arrays."""

import threading
from pathlib import Path

import numpy as np
import pytest

from fedsiege.datasets import cache
from fedsiege.errors import InvalidValue, MissingData


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "some.bin"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    return path


class Writer:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        cache.save(folder, numbers=np.arange(1000))


def test_arrays_are_written_once_and_mapped_read_only(file: Path) -> None:
    write = Writer()
    arrays = [cache.mapped([file], "made", write)["numbers"] for _ in range(3)]
    assert write.calls == 1
    assert isinstance(arrays[0].base, np.memmap)  # pages that processes share
    with pytest.raises(ValueError, match="read-only"):
        arrays[0][0] = 1


def test_a_changed_file_and_another_purpose_are_written_anew(file: Path) -> None:
    write = Writer()
    cache.mapped([file], "made", write)
    cache.mapped([file], "otherwise", write)
    file.write_bytes(b"abcd")
    cache.mapped([file], "made", write)
    assert write.calls == 3


def test_the_latest_versions_are_kept(file: Path) -> None:
    other = file.with_name("some-other.bin")
    other.write_bytes(b"abc")
    cache.mapped([other], "made", Writer())
    first = cache.mapped([file], "0", Writer())["numbers"]
    for number in range(1, 12):
        cache.mapped([file], str(number), Writer())
    there = [path.name for path in (file.parent / ".fedsiege-cache").glob("some-*")]
    assert len([name for name in there if not name.startswith("some-other")]) == cache._KEPT
    assert len(there) == cache._KEPT + 1
    assert first.sum() == 499_500  # what is mapped stays


def test_many_at_once_write_once(file: Path) -> None:
    write = Writer()
    threads = [
        threading.Thread(target=cache.mapped, args=([file], "made", write)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert write.calls == 1


def test_where_the_data_cannot_be_written_the_users_cache_is_used(
    file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_writable", lambda place: own_cache in [place, *place.parents])
    own_cache.joinpath("fedsiege").mkdir(parents=True)
    write = Writer()
    for _ in range(2):
        assert len(cache.mapped([file], "made", write)["numbers"]) == 1000
    assert write.calls == 1
    assert list(file.parent.iterdir()) == [file]


def test_where_nothing_can_be_written_a_process_has_its_own_and_says_so(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache, "_writable", lambda place: False)
    numbers = cache.mapped([file], "made", Writer())["numbers"]
    assert numbers.sum() == 499_500
    assert "no folder can be written" in caplog.text


def test_an_error_leaves_nothing_behind(file: Path) -> None:
    def fail(folder: Path) -> None:
        cache.save(folder, numbers=np.arange(3))
        raise InvalidValue("data", "x", "better")

    with pytest.raises(InvalidValue):
        cache.mapped([file], "made", fail)
    left = [path.name for path in (file.parent / ".fedsiege-cache").iterdir()]
    assert left == ["lock"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"absent\.bin cannot be read"):
        cache.mapped([tmp_path / "absent.bin"], "made", Writer())
