"""docker-compose.yml offers what the Makefile and the specification offer, to all three engines."""

from pathlib import Path

import yaml

from fedsiege.spec import ExperimentSpec

ROOT = Path(__file__).parent.parent.parent
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_every_setting_is_passed_to_the_simulator():
    # NAME means too many things to too many programs; how many CLIENTS there are is seen; the image
    # has no CUDA.
    kept_back = {"NAME", "CLIENTS", "DEVICE"}
    settings = {name.upper() for name in ExperimentSpec.model_fields} - kept_back
    assert set(SERVICES["simulator"]["environment"]) == settings


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
