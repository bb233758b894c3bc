"""Print the requirements in pyproject.toml, one a line: ``needs.py run | build``.

The image installs them in a layer of their own, below FedSiege itself.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())
needs = {"run": project["project"]["dependencies"], "build": project["build-system"]["requires"]}
sys.stdout.writelines(f"{requirement}\n" for requirement in needs[sys.argv[1]])
