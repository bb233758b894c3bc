"""The image holds the locked packages that the services need, and no tools for an intruder."""

import json
import os
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
READ_ONLY = ("--read-only", "--network=none")


def test_it_runs_as_an_unprivileged_user(in_image):
    assert in_image("id", "-u") == "1000"
    in_image("sh", "-c", "touch /opt/venv/x || touch /etc/x || touch /x", status=1)


def test_its_labels_have_version_and_licence(docker, image):
    labels = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", image))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert labels["org.opencontainers.image.version"] == version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert docker("images", "--quiet", f"fedsiege:{version}") == docker("images", "--quiet", image)


def test_it_has_no_build_tools(in_image):
    wanted = ["gcc", "cc", "g++", "clang", "ld", "make", "protoc", "git", "curl"]
    there = "import shutil, sys; print([name for name in sys.argv[1:] if shutil.which(name)])"
    assert in_image("python", "-c", there, *wanted) == "[]"
    packages = ["pip", "grpc_tools", "pytest", "mypy", "ruff"]
    there = (
        "import sys; from importlib.util import find_spec;"
        "print([name for name in sys.argv[1:] if find_spec(name)])"
    )
    assert in_image("python", "-c", there, *packages) == "[]"


def test_it_has_no_caches(in_image):
    caches = "find / -xdev ( -path */.cache/* -o -name *.whl -o -name *.deb ) -not -path /proc/*"
    found = in_image(*caches.split(), options=("--user=root",)).splitlines()
    # Python installs pip from these wheels in the base image.
    assert [path for path in found if "ensurepip" not in path and "python-wheels" not in path] == []


def test_it_holds_locked_packages_only(in_image):
    listing = (
        "from importlib.metadata import distributions as d;"
        "print(*(f'{one.name}=={one.version}' for one in d()), sep='\\n')"
    )
    installed = {line.split("+")[0].lower() for line in in_image("python", "-c", listing).split()}
    locked = set((ROOT / "requirements.lock").read_text().lower().split())
    assert {one for one in installed - locked if not one.startswith("fedsiege==")} == set()


def test_everything_is_compiled(in_image):
    """A read-only container would otherwise compile it again at every start."""
    code = """
import importlib, os, sys
services = ("aggregator", "client", "attacker", "simulator")
plots = "fedsiege.results.plots.accuracy"
for name in ["torch", plots, *(f"fedsiege.services.{s}.__main__" for s in services)]:
    importlib.import_module(name)
specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
files = {spec.cached for spec in specs if spec and spec.cached}
print(len(files), sorted(file for file in files if not os.path.exists(file)))
"""
    count, missing = in_image("python", "-c", code, options=READ_ONLY).split(" ", 1)
    assert missing == "[]"
    assert int(count) > 500


def test_a_server_that_does_not_answer_is_unhealthy(in_image):
    in_image("python", "/opt/health.py", "localhost:1", options=READ_ONLY, status=1)


def test_the_build_context_is_smaller_than_5_mb(docker, image, tmp_path):
    recipe = tmp_path / "Dockerfile"
    recipe.write_text(
        f"FROM {image}\nUSER root\nCOPY . /context\nRUN rm -rf /context/wheels"
        " && [ $(du -sk /context | cut -f1) -lt 5000 ] && [ ! -e /context/tests ]"
    )
    docker("build", "--tag", "fedsiege-context", "--file", recipe, ROOT)
    docker("image", "rm", "fedsiege-context")


@pytest.mark.parametrize(("owner", "runs_as"), [(0, 1000), (4321, 4321)])
def test_results_belong_to_the_owner_of_the_folder(in_image, tmp_path, owner, runs_as):
    os.chown(tmp_path, owner, owner)
    powers = ("--user=root", "--cap-drop=ALL", "--cap-add=CHOWN", "--cap-add=SETGID")
    show = "touch /runs/result; grep -E '^(Uid|Groups|CapPrm|CapEff|NoNewPrivs)' /proc/self/status"
    status = in_image(
        *("/opt/as-owner.sh", "/runs", "sh", "-c", show),
        options=(*powers, "--cap-add=SETUID", f"--volume={tmp_path}:/runs"),
    )
    assert (tmp_path / "result").stat().st_uid == runs_as
    assert (tmp_path / "result").stat().st_gid == runs_as
    fields = dict(line.split(":\t") for line in status.splitlines())
    assert fields["Uid"].split() == [str(runs_as)] * 4
    assert fields["Groups"].strip() == ""
    assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_a_secret_lasts_as_long_as_its_container(docker, image):
    show = (image, "/opt/lasting-secret.sh", "sh", "-c", "echo $FEDSIEGE_SECRET")
    first, second = docker("create", *show), docker("create", *show)
    try:
        for container in (first, first, second):
            docker("start", "--attach", container)
        once, again = docker("logs", first).split()
        other = docker("logs", second)
    finally:
        docker("rm", first, second)
    assert once == again
    assert len(once) == len(other) == 64
    assert other != once
