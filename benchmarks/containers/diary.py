"""What a run says while it goes on, and the findings that are no figures."""

import time

_BEGAN = time.monotonic()
_findings: list[str] = []


def say(line: str) -> None:
    """Print a line of progress with the seconds since the run began."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {line}", flush=True)


def note(finding: str) -> None:
    """Print a finding and keep it for the results: what set a limit, say."""
    say(finding)
    _findings.append(finding)


def take_notes() -> list[str]:
    """Return the findings since the last call."""
    taken = list(_findings)
    _findings.clear()
    return taken
