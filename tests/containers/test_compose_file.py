"""docker-compose.yml offers the settings of the specification, with all three Compose tools."""

from pathlib import Path

import pytest
import yaml

from fedsiege.experiment.spec import ExperimentSpec

ROOT = Path(__file__).parent.parent.parent
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_variables_passed_to_the_simulator_are_settings():
    """All settings can be given in SETTINGS, the common ones also by name."""
    first, *usual = SERVICES["simulator"]["environment"]
    assert first == "SETTINGS"
    # NAME is used by other programs too; CLIENTS follows from the containers; the image has no
    # CUDA; FAULTS needs ENGINE=docker, which starts the containers itself.
    kept_back = {"NAME", "CLIENTS", "DEVICE", "FAULTS"}
    assert set(usual) <= {name.upper() for name in ExperimentSpec.model_fields} - kept_back
    assert {"ADMISSION", "ATTACK", "RULE", "ROUNDS", "MIN_CLIENTS"} <= set(usual)


def test_one_service_builds_the_image_of_all():
    assert [name for name, service in SERVICES.items() if "build" in service] == ["aggregator"]
    assert {service["image"] for service in SERVICES.values()} == {"${IMAGE:-fedsiege:latest}"}


def test_docker_stack_deploy_accepts_the_file(docker):
    config = yaml.safe_load(
        docker("stack", "config", "--compose-file", ROOT / "docker-compose.yml")
    )
    assert set(config["services"]) == {"aggregator", "simulator", "client", "attacker"}


def test_a_worker_is_named_after_its_container():
    for name in ("client", "attacker"):
        assert "container_name" not in SERVICES[name]
        assert "--name" not in SERVICES[name]["command"]


@pytest.fixture(params=["token", "mtls"])
def overlay(request) -> Path:
    return ROOT / f"docker/{request.param}.yml"


def test_admission_only_adds_options_to_a_command(overlay):
    for name, service in yaml.safe_load(overlay.read_text())["services"].items():
        if "command" in service:
            before = SERVICES[name]["command"].split()
            assert service["command"].split()[: len(before)] == before


def test_each_service_mounts_its_own_credentials_only(overlay):
    folders = {"client": "clients", "attacker": "attackers"}
    for name, service in yaml.safe_load(overlay.read_text())["services"].items():
        for mount in service.get("volumes", []):
            assert mount["source"] == f"./admission/{folders.get(name, name)}"
            ledger = overlay.stem == "token" and name == "aggregator"
            assert mount.get("read_only", False) is not ledger


def test_docker_stack_deploy_accepts_admission_too(docker, overlay):
    files = ("--compose-file", ROOT / "docker-compose.yml", "--compose-file", overlay)
    config = yaml.safe_load(docker("stack", "config", *files))
    client = config["services"]["client"]
    assert client["user"] == "1000:1000"
    assert str(ROOT / "admission/clients") in {
        one["source"] for one in client["volumes"] if "source" in one
    }
