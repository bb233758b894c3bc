"""Runs the blocks of one page, in their order and in one folder: ``python run_page.py STEPS.json``.

Python blocks share one namespace. Command lines are those of a shell that stops at the first
failure. Blocks that are files are written first.
"""

import json
import subprocess
import sys
import warnings
from pathlib import Path


def main() -> None:
    """Run the steps: a kind, where the block stands, and its text."""
    namespace = {"__name__": "__main__"}
    for kind, where, text in json.loads(Path(sys.argv[1]).read_text()):
        sys.stderr.write(f"--- {where}\n")
        if kind == "python":
            with warnings.catch_warnings(action="error"):
                exec(compile(text, where, "exec"), namespace)
        elif kind == "sh":
            subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True)
        else:
            Path(kind).write_text(text)


if __name__ == "__main__":
    main()
