"""Release a version: ``make release VERSION=1.2.3``, on a clean branch main.

The version is written into pyproject.toml and CITATION.cff, the section "Unreleased" of
CHANGELOG.md gets its number and date, both are committed and tagged, and the archives are built
from that commit into ``dist/``. This happens in a work tree beside this one, whose result is taken
over last: where something fails, branch, tags and files are what they were. Nothing is uploaded.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNRELEASED = "## [Unreleased]\n"
#: The line of the version in each file that has one.
VERSION_LINES = {
    "pyproject.toml": ('version = "', '"'),
    "CITATION.cff": ("version: ", ""),
}


class Refused(Exception):
    """A release is not possible, for the reason that the message gives."""


def git(*arguments: str, folder: Path = ROOT) -> str:
    """Return what a git command printed; raise Refused with its error if it failed."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Refused(f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    """Return the three numbers of a version, for comparison."""
    if re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version) is None:
        raise Refused(f"VERSION={version!r} is not three numbers with dots between, as 1.2.3")
    return tuple(int(part) for part in version.split("."))


def dated(changelog: str, version: str) -> str:
    """Return the changelog with the unreleased entries as a section of a version, dated today."""
    before, heading, rest = changelog.partition(UNRELEASED)
    if not heading:
        raise Refused(f"CHANGELOG.md has no line {UNRELEASED.strip()!r}")
    if not re.search(r"^- ", rest.partition("\n## ")[0], re.MULTILINE):
        raise Refused(f"CHANGELOG.md has no entry below {UNRELEASED.strip()!r}")
    today = datetime.now(UTC).date()
    return f"{before}{UNRELEASED}\n## [{version}] - {today}\n{rest}"


def with_version(text: str, name: str, version: str) -> str:
    """Return the text of a file of ``VERSION_LINES`` with another version in it."""
    start, end = VERSION_LINES[name]
    line = rf"^({re.escape(start)})[^\"\n]*({re.escape(end)})$"
    changed, found = re.subn(line, rf"\g<1>{version}\g<2>", text, flags=re.MULTILINE)
    if found != 1:
        raise Refused(f"{name} has {found} lines {start}...{end}, not one")
    return changed


def prepared(version: str) -> dict[str, str]:
    """Check that a release is possible; return the new texts of the files that it changes."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD")
    if branch != "main":
        raise Refused(f"this is the branch {branch}; a release is made on main")
    if changes := git("status", "--porcelain"):
        raise Refused(f"the tree has changes that are not committed:\n{changes}")
    pyproject = (ROOT / "pyproject.toml").read_text()
    current = re.search(r'^version = "(.*)"$', pyproject, re.MULTILINE)
    if current is None:
        raise Refused("pyproject.toml has no line 'version = \"...\"'")
    if numbers(version) <= numbers(current[1]):
        raise Refused(f"VERSION={version} is not newer than {current[1]}, which pyproject.toml has")
    if git("tag", "--list", f"v{version}"):
        raise Refused(f"the tag v{version} is there already")
    git("var", "GIT_COMMITTER_IDENT")  # fails where git does not know the author of the commit
    texts = {name: with_version((ROOT / name).read_text(), name, version) for name in VERSION_LINES}
    return texts | {"CHANGELOG.md": dated((ROOT / "CHANGELOG.md").read_text(), version)}


def release(version: str) -> None:
    """Commit, tag and build a version; raise Refused and change nothing if that is not possible."""
    texts = prepared(version)
    tag = f"v{version}"
    with ExitStack() as cleanup:
        beside = Path(cleanup.enter_context(tempfile.TemporaryDirectory())) / "fedsiege"
        git("worktree", "add", "--quiet", "--detach", str(beside))
        cleanup.callback(git, "worktree", "remove", "--force", str(beside))
        for name, text in texts.items():
            (beside / name).write_text(text)
        git("commit", "--quiet", "--all", "-m", f"release: {version}", folder=beside)
        commit = git("rev-parse", "HEAD", folder=beside)
        environment = {**os.environ, "BUILD_PYTHON": sys.executable}
        built = subprocess.run([beside / ".ci/build"], env=environment, check=False)
        if built.returncode != 0:
            raise Refused("the archives cannot be built, as shown above")
        with ExitStack() as undo:
            for archive in sorted((beside / "dist").iterdir()):
                target = ROOT / "dist" / archive.name
                target.parent.mkdir(exist_ok=True)
                undo.callback(target.unlink, missing_ok=True)
                shutil.copy(archive, target)
            git("tag", "--annotate", tag, commit, "-m", f"FedSiege {version}")
            undo.callback(git, "tag", "--delete", tag)
            git("merge", "--quiet", "--ff-only", commit)
            undo.pop_all()


def main(arguments: Sequence[str]) -> int:
    """Release the version that is named as ``VERSION=1.2.3``, and say what to do next."""
    try:
        if len(arguments) != 1 or not arguments[0].startswith("VERSION="):
            given = " ".join(arguments) or "nothing"
            raise Refused(f"make release takes VERSION=1.2.3 and nothing else, not {given}")
        version = arguments[0].removeprefix("VERSION=")
        release(version)
    except Refused as refused:
        sys.stderr.write(f"no release: {refused}\n")
        return 1
    sys.stdout.write(
        f"FedSiege {version} is committed, tagged v{version} and built in dist/. Next:\n"
        f"  git push origin main v{version}\n"
        f"  twine upload dist/fedsiege-{version}*\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
