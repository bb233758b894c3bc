"""``make pictures``: makes the pictures of the documentation, by the commands beside them.

A picture stands below the block that makes it, or above the command in its caption.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.docs.pages import ROOT
from tests.docs.test_blocks import steps

DOCS = ROOT / "docs"
#: The command in the caption of ``mpaf.png``, in README.md and docs/index.md.
MPAF = "make sim ATTACK=0.2 DATASET=mnist"


def make_mpaf(folder: Path) -> Path:
    """Run the command of the caption; return the plot of accuracy."""
    words = shlex.split(MPAF)[2:]
    run = [sys.executable, "-m", "fedsiege.cli.main", "sim", *words, f"OUT={folder / 'mpaf'}"]
    subprocess.run(run, check=True, cwd=ROOT)
    return folder / "mpaf" / "accuracy.png"


def make_tutorial(folder: Path) -> Path:
    """Run the Python blocks of the tutorial; return their plot."""
    python = [step for step in steps("docs/tutorial.md") if step[0] != "sh"]
    (folder / "steps.json").write_text(json.dumps(python))
    run = [sys.executable, str(ROOT / "tests" / "docs" / "run_page.py"), "steps.json"]
    subprocess.run(run, check=True, cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"})
    return folder / "rules.png"


def main() -> None:
    """Make each picture and copy it into ``docs``."""
    for name, make in (("tutorial.png", make_tutorial), ("mpaf.png", make_mpaf)):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copyfile(make(Path(folder)), DOCS / name)


if __name__ == "__main__":
    main()
