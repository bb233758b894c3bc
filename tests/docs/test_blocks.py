"""Each code block of the pages is run, or has a reason not to be.

The blocks of a page run in their order, in one folder that looks like a clone, so that a page can
write a plug-in file in one block and run it in the next. Blocks that begin with a comment that is a
file's name, ``# my_rule.py``, are written to that file.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
import yaml

from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.grids.grid import Grid
from tests.docs.pages import BLOCKS, ROOT, TEXTS, Block, lines, without_make

#: Command lines that are not run, and why; ``test_commands.py`` checks their options.
NOT_RUN = {
    r"make (up|image|down|test-containers|bench-containers)\b|.*\bdocker\b|SETTINGS=|.*ENGINE=": (
        "needs a Docker engine: tests/containers"
    ),
    r"docker/two-nodes\.sh|ssh\b": "needs root and several machines: tests/containers",
    r"make (test|lint|proto|docs|pictures)\b": "a check of the repository itself: .ci/run",
    r"pip |.*(winsorized-mean|examples/plugin|runs/example)": "needs a package: .ci/plugin",
    r"docker/plugins\.sh": "makes a Compose file: tests/containers",
    r"make (ladder|bench|bench-rules|classifier)\b|fedsiege (grid experiments/|classifier)": (
        "takes minutes"
    ),
    r"make sim PRESET=(ladder|heterogeneity|rfout)|.*--dataset=mnist": (
        "takes minutes, or data that may not be here"
    ),
    r"fedsiege serve|python -m fedsiege\.services|python3? -m http\.server": (
        "runs until it is stopped: tests/docs/test_grpc.py, tests/services"
    ),
    r"npm |node ": "needs packages of npm",
    r"grpcurl|buf ": "is another program, which needs the services: tests/docs/test_grpc.py",
}
#: What runs beside the rest of its page, on ports of its own.
SERVE, PORTS = "make serve", (50051, 50052)
#: What is shown, not run.
SHOWN = {
    "": "a listing of files",
    "text": "output, or a listing",
    "mermaid": "a diagram: tests/docs/test_site.py",
    "{include}": "what the site puts there: tests/docs/test_site.py",
    "{eval-rst}": "what the site puts there: tests/docs/test_site.py",
    "{glossary}": "terms: tests/docs/test_site.py",
}


def why_not(line: str) -> str:
    """Return why a command line is not run; empty if it is."""
    found = (reason for pattern, reason in NOT_RUN.items() if re.match(pattern, line))
    return next(found, "")


def steps(page: str) -> list[tuple[str, str, str]]:
    """Return what run_page.py does for a page."""
    found = []
    for block in BLOCKS:
        where = f"{block.page}:{block.line}"
        if block.page != page or block.language.partition(" ")[0] in SHOWN:
            continue
        if page == "docs/grpc.md" and block.language == "python":
            continue  # on services that run: test_grpc.py
        if block.file:
            found.append((block.file, where, block.text))
        elif block.language == "python":
            found.append(("python", where, block.text))
        elif block.language == "sh":
            script = [line for line in lines(block.text) if not why_not(line)]
            if script == [SERVE]:
                found.append(("serve", where, SERVE))
            elif script:
                found.append(("sh", where, "\n".join(script)))
    return found


def check_yaml(block: Block) -> None:
    """A grid, a Compose file, or a specification."""
    settings = yaml.safe_load(block.text)
    if "vary" in settings:
        assert len(list(Grid.from_yaml(block.text))) > 1
    elif "services" in settings:
        assert all(isinstance(one, dict) for one in settings["services"].values())
    else:
        ExperimentSpec.of(settings)


def test_every_language_of_a_block_is_known():
    known = {"python", "sh", "yaml", *SHOWN}
    unknown = [
        f"{block.page}:{block.line}: {block.language}"
        for block in BLOCKS
        if block.language.partition(" ")[0] not in known
    ]
    assert not unknown


def test_yaml_blocks_are_read_by_what_reads_them():
    found = [block for block in BLOCKS if block.language == "yaml"]
    assert found
    for block in found:
        check_yaml(block)


def is_free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def clone(tmp_path):
    """A folder that looks like a clone, in which runs leave their results."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {"runs", "admission", ".git", ".venv"}:
            (folder / entry.name).symlink_to(entry)
    # With stamps of its own, so that no make installs the clone into the environment of the tests.
    environment = folder / ".venv"
    environment.mkdir()
    for entry in (ROOT / ".venv").iterdir():
        if not entry.name.startswith(".ready"):
            (environment / entry.name).symlink_to(entry)
    for stamp in (".ready", ".ready-dev", ".ready-docs"):
        (environment / stamp).touch()
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in TEXTS if steps(page)])
def test_the_blocks_of_a_page_run(page, clone, tmp_path):
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    found = steps(page)
    if any(kind == "serve" for kind, _, _ in found) and not all(map(is_free, PORTS)):
        pytest.skip(f"{SERVE} takes the ports {PORTS}, and one is taken")
    (tmp_path / "steps.json").write_text(json.dumps(found))
    search = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/docs/run_page.py"), str(tmp_path / "steps.json")],
        cwd=clone,
        env={
            **without_make(os.environ),
            "PATH": search,
            "MPLBACKEND": "Agg",
            "PYTHONPATH": str(clone),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_the_commands_that_are_not_run_are_listed():
    """Each pattern of NOT_RUN has lines; the text of this skip shows them all."""
    shell = [block for block in BLOCKS if block.language == "sh"]
    found = [(f"{one.page}:{one.line}", line) for one in shell for line in lines(one.text)]
    listed = []
    for pattern, reason in NOT_RUN.items():
        matching = [f"{where}: {line}" for where, line in found if re.match(pattern, line)]
        assert matching, f"no line matches {pattern}"
        listed += [f"{reason}:", *(f"  {line}" for line in matching)]
    pytest.skip("\n".join(["not run are", *listed]))
