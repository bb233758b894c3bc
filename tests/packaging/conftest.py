"""A copy of the tree to build from, so that no test writes beside the code that others import."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
#: What a build or a release reads. The rest of the tree is not copied.
BUILT_FROM = [
    *(".ci", ".gitignore", "CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "README.md"),
    *("fedsiege", "protos", "pyproject.toml", "requirements.lock", "services", "setup.py", "tests"),
]


@pytest.fixture(scope="session")
def copy_tree() -> Callable[[Path], Path]:
    """Copy what git knows or would add, with uncommitted changes, links as links."""

    def copy(folder: Path) -> Path:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(
            [*command, "--", *BUILT_FROM], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            source, target = ROOT / name, folder / name
            if source.is_symlink() or source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target, follow_symlinks=False)
        return folder

    return copy
