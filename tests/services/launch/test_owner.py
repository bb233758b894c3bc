"""Leftovers are told from containers in use, which must never be removed."""

import os
import signal
import subprocess
import sys

import pytest

from fedsiege.services.launch import owner

OTHER = "from fedsiege.services.launch import owner; print(owner.this_process(), flush=True)"


def test_this_process_is_running():
    assert not owner.is_gone(owner.this_process())


def test_another_process_is_running_until_it_ends():
    command = [sys.executable, "-c", f"{OTHER}; input()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert not owner.is_gone(name)
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert owner.is_gone(name)


def test_a_later_process_with_the_same_id_is_another():
    prefix, number, begun = owner.this_process().rsplit(" ", 2)
    assert number == str(os.getpid())
    assert owner.is_gone(f"{prefix} {number} {int(begun) - 1}")


def test_after_a_restart_of_the_machine_all_have_ended():
    _, rest = owner.this_process().split(" ", 1)
    assert owner.is_gone(f"another-boot {rest}")


def test_a_process_of_another_namespace_counts_as_running():
    boot, _, number, begun = owner.this_process().split(" ")
    assert not owner.is_gone(f"{boot} 1 {number} {int(begun) - 1}"), "another namespace"


@pytest.mark.parametrize("name", ["", "another", "a b", "a b c d e"])
def test_an_unknown_label_counts_as_running(name):
    assert not owner.is_gone(name)
