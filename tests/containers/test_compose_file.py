"""docker-compose.yml offers what the Makefile and the specification offer, to all three engines."""

from pathlib import Path

import pytest
import yaml

from fedsiege.experiment.spec import ExperimentSpec

ROOT = Path(__file__).parent.parent.parent
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_what_is_passed_to_the_simulator_is_read_there():
    """Any setting in SETTINGS, the usual ones by name."""
    first, *usual = SERVICES["simulator"]["environment"]
    assert first == "SETTINGS"
    # NAME means too many things to too many programs; how many CLIENTS there are is seen; the image
    # has no CUDA; FAULTS are made by ENGINE=docker alone, which starts the containers itself.
    kept_back = {"NAME", "CLIENTS", "DEVICE", "FAULTS"}
    assert set(usual) <= {name.upper() for name in ExperimentSpec.model_fields} - kept_back
    assert {"ADMISSION", "ATTACK", "RULE", "ROUNDS", "MIN_CLIENTS"} <= set(usual)


def test_only_one_service_builds_the_image_that_all_have():
    assert [name for name, service in SERVICES.items() if "build" in service] == ["aggregator"]
    assert {service["image"] for service in SERVICES.values()} == {"${IMAGE:-fedsiege:latest}"}


def test_docker_stack_deploy_takes_it(docker):
    config = yaml.safe_load(
        docker("stack", "config", "--compose-file", ROOT / "docker-compose.yml")
    )
    assert set(config["services"]) == {"aggregator", "simulator", "client", "attacker"}


def test_a_worker_is_known_by_its_container_alone():
    for name in ("client", "attacker"):
        assert "container_name" not in SERVICES[name]
        assert "--name" not in SERVICES[name]["command"]


@pytest.fixture(params=["token", "mtls"])
def overlay(request) -> Path:
    return ROOT / f"docker/{request.param}.yml"


def test_admission_adds_to_a_command_and_changes_nothing(overlay):
    for name, service in yaml.safe_load(overlay.read_text())["services"].items():
        if "command" in service:
            before = SERVICES[name]["command"].split()
            assert service["command"].split()[: len(before)] == before


def test_nobody_is_shown_the_authority_or_what_is_anothers(overlay):
    folders = {"client": "clients", "attacker": "attackers"}
    for name, service in yaml.safe_load(overlay.read_text())["services"].items():
        for mount in service.get("volumes", []):
            assert mount["source"] == f"./admission/{folders.get(name, name)}"
            ledger = overlay.stem == "token" and name == "aggregator"
            assert mount.get("read_only", False) is not ledger


def test_docker_stack_deploy_takes_admission_too(docker, overlay):
    files = ("--compose-file", ROOT / "docker-compose.yml", "--compose-file", overlay)
    config = yaml.safe_load(docker("stack", "config", *files))
    client = config["services"]["client"]
    assert client["user"] == "1000:1000"
    assert str(ROOT / "admission/clients") in {
        one["source"] for one in client["volumes"] if "source" in one
    }
