"""The owner label of containers, which tells leftovers of a killed run from those in use."""

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """Return a name of this process that no other process, earlier or later, has."""
    return f"{_boot_and_namespace()} {os.getpid()} {_start_time(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Return whether that process has ended.

    A process of another container cannot be seen from here; it counts as running.

    Args:
        owner: what ``this_process`` returned there; anything else counts as running too.
    """
    boot, _, rest = owner.partition(" ")
    space, _, process = rest.partition(" ")
    number, _, begun = process.partition(" ")
    if not number.isdecimal():
        return False
    here_boot, here_space = _boot_and_namespace().split(" ")
    if boot != here_boot:
        return True
    return space == here_space and _start_time(int(number)) != begun


def _boot_and_namespace() -> str:
    """Return the boot and the namespace in which process numbers are unique."""
    return f"{_BOOT.read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}"


def _start_time(process: int) -> str:
    """Return when a process started, in ticks since the boot; empty if there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # the 22nd of proc(5); the 2nd may hold blanks
