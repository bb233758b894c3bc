"""The Makefile passes on what it is given, unchanged, to the command that knows it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUF = ROOT / "node_modules/.bin/buf"
BUF_VERSION = re.search(r"^BUF_VERSION := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1]
FEDSIEGE = f"{sys.executable} -m fedsiege.cli.main"
#: Prints the arguments and the settings that it got, in place of the real program.
ECHO = f"""#!{sys.executable}
import json, os, sys
print(json.dumps([sys.argv[1:], dict(os.environ)]))
"""
#: Runs what would run in a container here, and shows what Compose is called with.
DOCKER = f"""#!/bin/sh
case "$*" in
    *"fedsiege settings"*) while [ "$1" != settings ]; do shift; done; exec {FEDSIEGE} "$@" ;;
    "compose version") ;;
    *) echo "SETTINGS=$SETTINGS docker $*" ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the Makefile, an environment that counts as made, and programs that echo."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name, text in {".venv/bin/fedsiege": ECHO, "bin/docker": DOCKER}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / ".venv/.ready").touch()
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder}/bin:{os.environ['PATH']}"
    command = ["make", "--no-print-directory", "-o", ".venv/.ready", "-o", "image", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), **environment},
    )


def passed_on(folder: Path, *arguments: str, **environment: str) -> tuple[list[str], dict]:
    """What the command behind a target gets: its arguments, and of the environment what matters."""
    done = make(folder, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


def test_help_names_every_target_and_lists_variables_only_where_the_command_is_there(clone):
    printed = make(clone).stdout
    for target in re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert re.search(rf"^  {target}\s", printed, re.MULTILINE), target
    assert '["settings"]' in printed, "the command says which variables there are"
    shutil.rmtree(clone / ".venv")
    before = sorted(clone.rglob("*"))
    bare = make(clone)
    assert "make settings lists the variables" in bare.stdout
    assert "ATTACK=0.3" in bare.stdout, "an example"
    assert sorted(clone.rglob("*")) == before, "help installs nothing"


def test_what_is_set_is_passed_on_and_nothing_else(clone):
    words, environment = passed_on(
        clone,
        "sim",
        "ATTACK=0.3",
        "ATTACK_NAME=mpaf-spread:noise=1",
        "ARGS=--help",
        RULE="krum",
    )
    assert words[0] == "sim"
    assert words[-1] == "--help"
    assert sorted(words[1:-1]) == [
        *("--plain-environment", "ATTACK=0.3", "ATTACK_NAME=mpaf-spread:noise=1")
    ]
    assert environment["RULE"] == "krum"


def test_values_are_safe_from_the_shell_and_from_make(clone):
    value = 'it\'s $(touch evil) $$HOME; `touch evil` "a\\b"'
    words, _ = passed_on(clone, "sim", f"OUT={value}")
    assert words == ["sim", "--plain-environment", f"OUT={value}"]
    assert not (clone / "evil").exists()


def test_a_target_that_passes_nothing_on_refuses_variables(clone):
    for target in ("lint", "down", "help"):
        done = make(clone, target, "ATTACK=0.3")
        assert done.returncode != 0, target
        assert f"make {target} takes no variables but ARGS and PYTHON, not ATTACK" in done.stderr


def real(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command, as make does."""
    return subprocess.run(
        [*FEDSIEGE.split(), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )


@pytest.mark.parametrize(
    ("target", "command", "wrong", "right"),
    [
        ("sim", ["sim"], "ROUND", "ROUNDS"),
        ("sim", ["sim"], "RULES", "RULE"),
        ("serve", ["serve"], "CLIENT", "CLIENTS"),
        ("serve", ["serve"], "ATTACK", "ATTACKERS"),
        ("classifier", ["classifier"], "MODULE", "MODEL"),
        ("ladder", ["grid", "experiments/ladder.yaml"], "JOB", "JOBS"),
    ],
)
def test_what_a_command_does_not_know_is_refused_with_the_nearest(
    clone, target, command, wrong, right
):
    words, _ = passed_on(clone, target, f"{wrong}=5")
    assert words[: len(command)] == command
    done = real(*words)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert f"{wrong}='5' is not possible: there is no such variable, did you mean {right}?" in said


def test_the_ladder_takes_no_setting_of_its_cells(clone):
    """Its rounds stand in its file: a variable for them would be ignored."""
    words, _ = passed_on(clone, "ladder", "ROUNDS=3")
    done = real(*words)
    assert done.returncode == 2
    assert "ROUNDS='3' is not possible: there is no such variable" in done.stderr


def test_up_checks_settings_and_hands_them_to_compose(clone):
    done = make(clone, "up", "ATTACK=0.3", "NAME=two words", "CLIENTS=3", "DATA=there")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "SETTINGS='NAME=two words' ATTACK=0.3 docker compose up --scale client=3\n"
    )
    done = make(clone, "up", "ATTACK=0.3", SETTINGS="CLIP=1")
    assert done.stdout.startswith("SETTINGS=CLIP=1 ATTACK=0.3 docker compose up")
    for wrong in ("DEVICE=cuda", "FAULTS=kill:0.1", "MEMORY=1g", "ATACK=1", "ATTACK=2"):
        done = make(clone, "up", wrong)
        assert done.returncode != 0, wrong
        assert wrong.partition("=")[0] in done.stderr, wrong
        assert "docker" not in done.stdout, f"nothing was started with {wrong}"


@pytest.mark.skipif(not BUF.exists(), reason="buf is not here; make proto installs it")
def test_a_break_of_the_contract_is_refused_unless_it_is_listed(clone):
    """Once listed in the words of buf it passes; another one does not."""
    for name in (".venv/bin/python", "node_modules/.bin/buf"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
    (clone / ".venv/bin/python").symlink_to("/bin/true")
    (clone / "node_modules/.bin/buf").symlink_to(BUF)
    package = clone / "protos/fedsiege/v1"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "protos/buf.yaml", clone / "protos")
    text = 'syntax = "proto3";\n// P.\npackage fedsiege.v1;\n// M.\nmessage M {\n'
    (package / "a.proto").write_text(f"{text}  int32 a = 1;\n  int32 b = 2;\n}}\n")
    listed = clone / "protos/breaking-once.txt"
    listed.write_text("# None.\n")
    for words in (["init", "-q"], ["add", "protos"], ["commit", "-q", "-m", "first"]):
        person = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *person, *words], cwd=clone, check=True)
    proto = ("-o", f"node_modules/.buf-{BUF_VERSION}", "proto")
    assert make(clone, *proto).returncode == 0
    (package / "a.proto").write_text(f"{text}  int32 a = 1;\n}}\n")
    refused = make(clone, *proto)
    assert refused.returncode != 0
    sentence = 'Previously present field "2" with name "b" on message "M" was deleted.'
    assert sentence in refused.stdout.splitlines()
    listed.write_text(f"# Meant.\n\n{sentence}\n")
    assert make(clone, *proto).returncode == 0
    (package / "a.proto").write_text(f"{text}  int64 a = 1;\n}}\n")
    assert make(clone, *proto).returncode != 0, "another break is none that was meant"
