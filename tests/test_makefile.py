"""The Makefile says what the command does: same names, same defaults, nothing lost on the way."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fedsiege.experiment.spec import ExperimentSpec

ROOT = Path(__file__).parent.parent


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )


def documented() -> dict[str, str]:
    """The variables and defaults that `make` alone prints."""
    return dict(re.findall(r"^  ([A-Z_]+)=(\S*)", make().stdout, re.MULTILINE))


def test_every_setting_is_a_variable_with_the_default_of_the_command():
    variables = documented()
    for name, field in ExperimentSpec.model_fields.items():
        if name in {"name", "min_clients"}:  # of no use on one machine
            continue
        printed, default = variables[name.upper()], field.default
        if isinstance(default, int | float):
            assert float(printed) == default, name
        else:
            assert printed == (default or ""), name


def test_help_names_every_target():
    printed = make().stdout
    for target in re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert re.search(rf"^  {target}\s", printed, re.MULTILINE), target


def test_help_works_in_a_bare_clone(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(["make"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "ATTACK=0.2" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


def sim_command(*arguments: str, **environment: str) -> str:
    """The command that `make sim` would run; the environment counts as made."""
    done = make("-n", "-o", ".venv/.ready", "sim", *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_what_is_set_is_passed_on_and_nothing_else():
    command = sim_command("ATTACK=0.3", "ATTACK_NAME=mpaf-spread:noise=1", RULE="krum:f=20")
    assert "--attack='0.3'" in command
    assert "--attack-name='mpaf-spread:noise=1'" in command
    assert "--rule='krum:f=20'" in command
    assert command.count("--") == 3


def test_adam_is_passed_on_without_the_momentum_of_the_table():
    """Which a run of Adam would refuse."""
    assert "MOMENTUM=0.9" in make().stdout
    assert "momentum" not in sim_command("OPTIMIZER=adam", "LR=0.01")


def test_values_are_safe_from_the_shell():
    command = sim_command("OUT=it's $(touch evil); `touch evil`")
    assert "evil" in command
    assert not (ROOT / "evil").exists()
    assert r"'it'\''s " in command


@pytest.mark.parametrize(("wrong", "right"), [("ROUND", "ROUNDS"), ("RULES", "RULE")])
def test_a_misspelt_variable_is_refused_with_the_right_one(wrong, right):
    done = make("sim", f"{wrong}=5")
    assert done.returncode != 0
    assert f"Did you mean {right}?" in done.stderr


@pytest.mark.parametrize(
    ("target", "setting"), [("ladder", "ROUNDS"), ("serve", "CLIENTS"), ("classifier", "RULE")]
)
def test_what_a_target_has_no_use_for_is_refused(target, setting):
    """The ladder's rounds stand in its file: three of them were ignored."""
    refused = make("-n", target, f"{setting}=3")
    assert refused.returncode != 0
    assert f"make {target} does not take {setting}; it takes " in refused.stderr
    taken = make("-n", target, "DATA=/there", "ARGS=--help", **{setting: "3"})
    assert taken.returncode == 0, taken.stderr
    assert "--data='/there'" in taken.stdout
    assert setting.lower() not in taken.stdout


@pytest.mark.parametrize("name", ["DEVICE", "FAULTS", "MEMORY", "WORKERS", "OUT", "BASELINE"])
def test_what_has_no_effect_in_compose_is_refused(name):
    done = make("-n", "-o", "image", "up", f"{name}=1")
    assert done.returncode != 0
    assert f"make up does not take {name}; it takes ATTACK " in done.stderr


def test_what_compose_passes_on_is_taken():
    passed_on = re.findall(r"^      - ([A-Z_]+)$", (ROOT / "docker-compose.yml").read_text(), re.M)
    given = [f"{name}=1" for name in passed_on if name != "MIN_CLIENTS"]
    assert len(given) > 20
    done = make("-n", "-o", "image", "up", *given, "ADMISSION=open", "CLIENTS=3", "DATA=there")
    assert done.returncode == 0, done.stderr
    assert "--scale client=3" in done.stdout
