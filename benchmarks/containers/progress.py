"""Progress of a run on the screen, and findings that are not figures."""

import time

_BEGAN = time.monotonic()
_findings: list[str] = []


def show(line: str) -> None:
    """Print a line of progress with the seconds since the run began."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {line}", flush=True)


def add_finding(finding: str) -> None:
    """Print a finding, such as what set a limit, and keep it for the results."""
    show(finding)
    _findings.append(finding)


def take_findings() -> list[str]:
    """Return the findings since the last call."""
    taken = list(_findings)
    _findings.clear()
    return taken
