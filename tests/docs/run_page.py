"""Runs the blocks of one page, in their order and in one folder: ``python run_page.py STEPS.json``.

Python blocks share one namespace. Command lines are those of a shell that stops at the first
failure. Blocks that are files are written. Services that are served run until the page ends.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    """Run the steps: a kind or the name of a file, where the block stands, and its text."""
    namespace = {"__name__": "__main__"}
    with contextlib.ExitStack() as until_the_end:
        for kind, where, text in json.loads(Path(sys.argv[1]).read_text()):
            sys.stderr.write(f"--- {where}\n")
            if kind == "python":
                with warnings.catch_warnings(action="error"):
                    exec(compile(text, where, "exec"), namespace)
            elif kind == "sh":
                subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True)
            elif kind == "serve":
                until_the_end.enter_context(served(text))
            else:
                Path(kind).write_text(text)


@contextlib.contextmanager
def served(command: str) -> Iterator[None]:
    """Run services that end at an interrupt; go on when they are ready."""
    with subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            while "Ctrl-C" not in process.stdout.readline():
                assert process.poll() is None, f"{command} ended"
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)


if __name__ == "__main__":
    main()
