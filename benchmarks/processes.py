"""Processes of contenders: run a process to its end, or keep it while a block runs."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.contest import ContenderError

ROOT = Path(__file__).parent.parent


def last_json(
    command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a command to its end and return the JSON object on the last line of its output.

    Args:
        command: program and arguments.
        timeout: seconds after which the process, and all it started, is killed.
        environment: variables in addition to ours.

    Raises:
        ContenderError: it took too long, ended with a status other than 0, or printed no JSON.
    """
    with running(command, environment) as process:
        with suppress(subprocess.TimeoutExpired):
            process.child.wait(timeout)
        if process.child.returncode is None:
            raise ContenderError(
                f"{process.name} took more than {timeout:g} s: {process.log_tail()}"
            )
        if process.child.returncode != 0:
            raise ContenderError(
                f"{process.name} ended with status {process.child.returncode}: {process.log_tail()}"
            )
        lines = process.output.read_text().strip().splitlines() or [""]
        try:
            answer: dict[str, Any] = json.loads(lines[-1])
        except ValueError:
            raise ContenderError(f"{process.name} printed no JSON: {process.log_tail()}") from None
        return answer


class Process:
    """A running process.

    Attributes:
        name: the name in messages.
        child: the process.
        output: the file with its standard output.
        errors: the file with its standard error.
        grace: seconds from SIGTERM until it is killed.
    """

    grace = 10.0

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None, folder: Path
    ) -> None:
        self.name = " ".join(Path(part).name if part[:1] == "/" else part for part in command[:3])
        self.output = folder / "stdout"
        self.errors = folder / "stderr"
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.child = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def log_tail(self) -> str:
        """Return the last lines of the log, or of the output if the log is empty."""
        text = self.errors.read_text(errors="replace") or self.output.read_text(errors="replace")
        return " | ".join(text.strip().splitlines()[-4:]) or "no output"

    def line(self, prefix: str, timeout: float) -> str:
        """Wait for a line of output with a prefix and return the rest of the line.

        Raises:
            ContenderError: the process ended or the time was up before.
        """
        until = time.monotonic() + timeout
        while True:
            ended = self.child.poll() is not None
            for line in self.output.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(prefix) and line.endswith("\n"):
                    return line[len(prefix) :].strip()
            if ended or time.monotonic() > until:
                raise ContenderError(f"{self.name} did not print {prefix!r}: {self.log_tail()}")
            time.sleep(0.01)

    def end(self) -> None:
        """Terminate the process; kill it, and all it started, after the grace time."""
        if self.child.poll() is None:
            self.child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(self.grace)
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        if self.child.stdin:
            self.child.stdin.close()


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Keep a process running while the block runs; arguments as for ``last_json``."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        process = Process(command, environment, Path(folder))
        try:
            yield process
        finally:
            process.end()
