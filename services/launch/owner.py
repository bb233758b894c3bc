"""Whose a container is: the label by which leftovers of a killed run are told from those in use."""

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """Name this process so that no other, before or after it, has the same name."""
    return f"{_place()} {os.getpid()} {_begun(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Return whether that process has ended.

    One of another container cannot be looked at from here; it counts as there.

    Args:
        owner: what ``this_process`` returned there; anything else counts as there too.
    """
    boot, _, rest = owner.partition(" ")
    space, _, process = rest.partition(" ")
    number, _, begun = process.partition(" ")
    if not number.isdecimal():
        return False
    here_boot, here_space = _place().split(" ")
    if boot != here_boot:
        return True
    return space == here_space and _begun(int(number)) != begun


def _place() -> str:
    """Name what a process number means something in: this boot of the machine, this namespace."""
    return f"{_BOOT.read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}"


def _begun(process: int) -> str:
    """Return when a process began, in ticks since the boot; empty if it is not there."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]  # the 22nd of proc(5); the 2nd may hold blanks
