"""Engines: the options for containers, and the workers of an experiment."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.launch.base import Endpoints, WorkerSpec
from fedsiege.services.launch.engines import Engine, container_workers

USUAL = {
    "name": "docker",
    "image": "fedsiege:latest",
    "per_container": 1,
    "memory": "1g",
    "cpus": 1.0,
}


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        ("1g", 1 << 30),
        ("512M", 512 << 20),
        ("1.5gb", 3 << 29),
        ("64k", 65536),
        ("9000000", 9000000),
    ],
)
def test_memory_is_read_in_docker_units(memory, size):
    engine = Engine.of(**{**USUAL, "memory": memory})
    assert engine is not None
    assert engine.resources.memory == size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "podman"),
        ("per_container", 0),
        ("memory", "much"),
        ("memory", "-1g"),
        ("memory", ""),
        ("cpus", 0.0),
        ("cpus", float("nan")),
    ],
)
def test_values_out_of_range_are_refused(name, value):
    variable = {"name": "ENGINE"}.get(name, name.upper())
    with pytest.raises(InvalidValue, match=f"{variable}="):
        Engine.of(**{**USUAL, name: value})


def test_a_local_run_has_no_containers_also_by_its_older_name():
    assert Engine.of("local") is Engine.of("laptop") is None


@pytest.mark.parametrize("name", ["image", "per_container", "memory", "cpus"])
def test_options_for_containers_are_refused_without_containers(name):
    with pytest.raises(InvalidValue, match=f"{name.upper()}=.* only with ENGINE=docker or swarm"):
        Engine.of("local", **{name: USUAL[name]})


def test_missing_options_have_the_defaults_that_make_prints():
    engine = Engine.of("docker")
    assert engine == Engine.of("docker", "fedsiege:latest", 1, "1g", 1.0)


def test_every_participant_is_hosted_and_fakes_share_one_container():
    spec = ExperimentSpec(clients=50, attack=0.2)
    wanted = container_workers(spec, 1)
    assert [worker.participants for worker in wanted] == [1] * 40 + [10]
    assert wanted[-1] == WorkerSpec("attacker-1", "attacker", 10)
    names = [worker.name for worker in wanted[:-1]]
    assert names == sorted(names), "indices are assigned in the order of names"
    assert names[0] == "client-01"


@pytest.mark.parametrize(
    ("benign", "per_container", "expected"),
    [(7, 3, [3, 2, 2]), (6, 3, [3, 3]), (2, 5, [2]), (0, 1, [])],
)
def test_participants_that_share_containers_are_spread_evenly(benign, per_container, expected):
    spec = ExperimentSpec(clients=benign or 4, attack=0.0 if benign else 1.0)
    clients = [
        worker for worker in container_workers(spec, per_container) if worker.kind == "client"
    ]
    assert [worker.participants for worker in clients] == expected


def test_every_worker_gets_the_folder_of_data():
    endpoints = Endpoints("10.0.0.1:1", "10.0.0.1:2")
    client = WorkerSpec("client-1", "client", 3).arguments(endpoints, "/data")
    attacker = WorkerSpec("attacker-1", "attacker", 3).arguments(
        endpoints, "/data", tokens="/tokens", certs="/certs"
    )
    common = ["--participants=3", "--aggregator=10.0.0.1:1", "--simulator=10.0.0.1:2"]
    assert client == ["--name=client-1", *common, "--data=/data"]
    assert attacker == [
        "--name=attacker-1",
        *common,
        "--data=/data",
        "--tokens=/tokens",
        "--certs=/certs",
    ]


@pytest.mark.parametrize("name", ["docker", "swarm"])
def test_faults_need_an_engine_that_can_make_them(name, tmp_path):
    engine = Engine.of(**{**USUAL, "name": name})
    assert engine is not None
    assert len(engine.fleet(ExperimentSpec(clients=5), tmp_path).workers) == 5
    with_faults = ExperimentSpec(clients=5, faults="kill:0.2,pause:0.1")
    if name == "docker":
        engine.fleet(with_faults, tmp_path)
    else:
        with pytest.raises(InvalidValue, match=r"FAULTS=.*swarm cannot make these: kill, pause"):
            engine.fleet(with_faults, tmp_path)
