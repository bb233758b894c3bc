"""The use of containers is read from both versions of control groups."""

import shutil
from pathlib import Path

import pytest

from fedsiege.services.launch.cgroup import ControlGroup


def write_files(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


FIRST = (
    "13:pids:/docker/abc\n5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n",
    {
        "cpuacct/docker/abc/cpuacct.usage": "1500000000\n",
        "memory/docker/abc/memory.usage_in_bytes": "1000\n",
        "memory/docker/abc/memory.stat": "cache 900\ninactive_file 1\ntotal_inactive_file 300\n",
    },
)
SECOND = (
    "0::/system.slice/docker-abc.scope\n",
    {
        "system.slice/docker-abc.scope/cpu.stat": "usage_usec 1500000\nuser_usec 7\n",
        "system.slice/docker-abc.scope/memory.current": "1000\n",
        "system.slice/docker-abc.scope/memory.stat": "anon 700\ninactive_file 300\n",
    },
)


@pytest.mark.parametrize(("membership", "files"), [FIRST, SECOND], ids=["v1", "v2"])
def test_processor_seconds_and_bytes_without_idle_cache(tmp_path, membership, files):
    write_files(tmp_path, {"proc/7/cgroup": membership})
    write_files(tmp_path / "groups", files)
    group = ControlGroup.of(7, root=tmp_path / "groups", proc=tmp_path / "proc")
    assert group is not None
    assert group.read() == (1.5, 700)
    shutil.rmtree(tmp_path / "groups")
    assert group.read() is None, "the container has ended"


@pytest.mark.parametrize("membership", [FIRST[0], SECOND[0], "0::/\n"])
def test_a_group_that_cannot_be_read_is_none(tmp_path, membership):
    write_files(tmp_path, {"proc/7/cgroup": membership})
    assert ControlGroup.of(7, root=tmp_path / "groups", proc=tmp_path / "proc") is None


def test_a_process_that_has_ended_has_no_group(tmp_path):
    assert ControlGroup.of(7, root=tmp_path, proc=tmp_path) is None
