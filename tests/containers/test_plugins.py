"""Plug-ins in containers: a package in an image of two more lines, and files that are mounted."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.conftest import Federation, run
from tests.containers.control import ROOT

EXAMPLE = ROOT / "examples" / "plugin"
SPEC = ("--rounds=2", "--clients=4", "--attack=0.25")
CHOSEN = (
    *("--rule=winsorized-mean", "--attack-name=undo", "--audit=direction"),
    *("--model=perceptron:hidden=16", "--dataset=spots"),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as it is installed, in a folder of its own: what ``pip --target`` makes."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "plugin")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, f"--target={folder / 'plugin' / 'site'}", folder / "plugin")
    return folder / "plugin" / "site"


@pytest.fixture(scope="module")
def image_with_example(image: str, site: Path) -> str:
    """The image that the example's Dockerfile makes of ours."""
    lines = (site.parent / "Dockerfile").read_text().splitlines()
    assert lines == [f"FROM {image}", "COPY site /opt/plugins"], "the page says: two lines"
    run("docker", "build", "--quiet", "--tag=fedsiege-example", site.parent)
    return "fedsiege-example"


def sim(out: Path, *options: str, status: int = 0, **environment: str) -> str:
    command = [sys.executable, "-m", "fedsiege.cli.main", "sim", *SPEC, *options, f"--out={out}"]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def model_of(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def test_a_package_runs_in_an_image_that_adds_it_in_two_lines(
    image_with_example: str, site: Path, tmp_path: Path
) -> None:
    listed = run("docker", "run", "--rm", image_with_example, "fedsiege", "models")
    assert "perceptron" in listed
    assert "fedsiege-example 0.1.0" in listed
    here = {"PYTHONPATH": str(site)}
    sim(tmp_path / "local", *CHOSEN, "--trainer=loop", **here)
    containers = ("--engine=docker", f"--image={image_with_example}", "--trainer=loop")
    sim(tmp_path / "docker", *CHOSEN, *containers, **here)
    [plugin] = json.loads((tmp_path / "docker" / "run.json").read_text())["plugins"]
    assert plugin["name"] == "fedsiege-example"
    assert len(plugin["components"]) == 5
    assert model_of(tmp_path / "docker") == model_of(tmp_path / "local")


def test_an_image_without_the_package_is_named_as_the_reason(
    image: str, site: Path, tmp_path: Path
) -> None:
    said = sim(tmp_path / "out", *CHOSEN, "--engine=docker", status=1, PYTHONPATH=str(site))
    assert "worker client-1: dataset='spots" in said
    assert "is not possible: There are:" in said


def single_file(folder: Path) -> Path:
    """Write a plug-in file with the model and the attack of the example."""
    path = folder / "one file.py"
    source = EXAMPLE / "src" / "fedsiege_example"
    text = "from fedsiege import attacks, models\n"
    for name, kind, class_name in (
        ("model", "models", "Perceptron"),
        ("attack", "attacks", "Undo"),
    ):
        text += (source / f"{name}.py").read_text()
        text += f"\n\n{kind}.register({class_name})\n"
    path.write_text(text)
    return path


@pytest.mark.usefixtures("image")
def test_the_workers_have_a_plugin_file(tmp_path: Path) -> None:
    file = single_file(tmp_path)
    chosen = (
        "--dataset=digits",
        "--model=perceptron:hidden=16",
        "--attack-name=undo",
        "--trainer=loop",
    )
    sim(tmp_path / "local", *chosen, f"--plugin={file}")
    sim(tmp_path / "docker", *chosen, f"--plugin={file}", "--engine=docker")
    [plugin] = json.loads((tmp_path / "docker" / "run.json").read_text())["plugins"]
    assert (plugin["name"], plugin["components"]) == (
        file.name,
        ["attack undo", "model perceptron"],
    )
    assert len(plugin["sha256"]) == 64
    assert model_of(tmp_path / "docker") == model_of(tmp_path / "local")


@pytest.fixture
def swarm(image: str) -> Iterator[None]:
    """Make this machine's engine a Swarm of one, at an address that containers reach."""
    bridge = json.loads(run("docker", "network", "inspect", "bridge"))[0]
    run("docker", "swarm", "init", "--advertise-addr", bridge["IPAM"]["Config"][0]["Gateway"])
    yield
    run("docker", "swarm", "leave", "--force")


@pytest.mark.usefixtures("swarm")
def test_a_swarm_has_a_plugin_file(tmp_path: Path) -> None:
    file = single_file(tmp_path)
    chosen = ("--dataset=digits", "--model=perceptron:hidden=16", "--attack-name=undo")
    sim(tmp_path / "out", *chosen, f"--plugin={file}", "--engine=swarm")
    assert run("docker", "config", "ls", "--quiet") == "", "it is removed with the workers"


@pytest.mark.usefixtures("image")
def test_compose_has_a_plugin_file(tmp_path: Path) -> None:
    file = single_file(tmp_path)
    overlay = run(ROOT / "docker" / "plugins.sh", file)
    folder = tmp_path / "clone"
    folder.mkdir()
    federation = Federation(
        folder,
        SETTINGS="DATASET=digits MODEL=perceptron:hidden=16 ATTACK_NAME=undo ATTACK=0.3 ROUNDS=2",
        MIN_CLIENTS="2",
    )
    (folder / "plugins.yml").write_text(overlay)
    federation._files = ["--file", "docker-compose.yml", "--file", "plugins.yml"]
    try:
        federation.up(2)
        found = folder / "runs"
        federation.until(lambda: [*found.glob("*/run.json")] and "finished" in ended(found))
        [path] = found.glob("*/run.json")
        [plugin] = json.loads(path.read_text())["plugins"]
        assert (plugin["name"], plugin["components"]) == (
            file.name,
            ["attack undo", "model perceptron"],
        )
    finally:
        federation.down()


def ended(runs: Path) -> list[str]:
    return [json.loads(path.read_text())["state"] for path in runs.glob("*/run.json")]
