"""Prints what pyproject.toml asks for, one requirement a line: ``needs.py run | build``.

So that an image can install what FedSiege needs in a layer of its own, below FedSiege itself.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())
needs = {"run": project["project"]["dependencies"], "build": project["build-system"]["requires"]}
sys.stdout.writelines(f"{requirement}\n" for requirement in needs[sys.argv[1]])
