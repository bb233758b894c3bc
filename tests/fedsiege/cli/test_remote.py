"""``fedsiege remote``: experiments of a served simulator, from the command line."""

import json

import pytest

from fedsiege.client import Client
from tests.fedsiege.client.served import Background, background

SMALL = ("--dataset=digits", "--clients=5", "--rule=median")


@pytest.fixture(scope="module")
def servers():
    with background() as made:
        yield made


@pytest.fixture(scope="module")
def address(servers: Background, tmp_path_factory) -> str:
    return servers.federation(tmp_path_factory.mktemp("runs"))


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_experiment_is_started_followed_and_listed(typed, address):
    at = f"--address={address}"
    done = typed("remote", "start", *SMALL, "ROUNDS=2", "--watch", at)
    assert done.returncode == 0, done.stderr
    assert "experiment" in done.stdout.splitlines()[0]
    assert "round 2/2" in done.stdout
    assert "Accuracy history" in done.stdout
    identifier = done.stdout.splitlines()[-1].split()[1]
    assert done.stdout.splitlines()[-1].startswith(f"experiment {identifier} is finished, results")

    again = typed("remote", "watch", at)
    assert again.returncode == 0
    assert again.stdout.count("round 1/2") == 1, "it begins with the first round"
    assert "Accuracy history" in typed("remote", "history", identifier, at).stdout
    listed = typed("remote", "experiments", at).stdout
    assert all(words in listed for words in (identifier, "finished", "2/2", "median"))
    assert "attacker" in typed("remote", "workers", at).stdout


def test_json_is_an_object_per_line(typed, address):
    at = f"--address={address}"
    done = typed("remote", "start", *SMALL, "--rounds=1", "--watch", "--json", at)
    started, *events = objects(done.stdout)
    assert started["spec"]["rounds"] == 1
    rounds = [one["round"] for one in events if one["event"] == "round"]
    assert rounds == [0, 1]
    assert events[-1] == {"event": "end", "state": "finished", "problem": ""}
    history = objects(typed("remote", "history", "--json", at).stdout)
    assert [one["round"] for one in history] == [0, 1]
    assert objects(typed("remote", "experiments", "--json", at).stdout)[0]["id"] == started["id"]
    workers = objects(typed("remote", "workers", "--json", at).stdout)
    assert {one["worker"] for one in workers} == {"benign", "hostile"}


def test_a_spec_file_is_read_and_options_override_it(typed, address, tmp_path):
    (tmp_path / "spec.yaml").write_text("rounds: 9\nclients: 5\ndataset: digits\n")
    command = ("remote", "start", "--spec=spec.yaml", "--rounds=1", "--json")
    (started,) = objects(typed(*command, f"--address={address}").stdout)
    assert (started["spec"]["rounds"], started["spec"]["clients"]) == (1, 5)


def test_a_cancelled_experiment_is_no_success(typed, address):
    at = f"--address={address}"
    (started,) = objects(typed("remote", "start", *SMALL, "--rounds=100000", "--json", at).stdout)
    done = typed("remote", "cancel", started["id"], at)
    assert done.returncode == 0
    assert done.stdout.startswith(f"experiment {started['id']} is cancelled, ")
    assert typed("remote", "watch", started["id"], at).returncode == 1


def test_ctrl_c_ends_the_watching_not_the_experiment(typed, address, monkeypatch):
    at = f"--address={address}"
    (started,) = objects(typed("remote", "start", *SMALL, "--rounds=100000", "--json", at).stdout)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fedsiege.cli.screen.Screen.say", interrupt)
    done = typed("remote", "watch", started["id"], at)
    assert done.returncode == 2
    assert f"experiment {started['id']} goes on" in done.stderr
    with Client(address) as client:
        experiment = client.experiment(started["id"])
        assert not experiment.state.ended
        experiment.cancel()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("start", "--rounds=x"), "ROUNDS='x' is not possible: a whole number"),
        (("start", "--spec=nowhere.yaml"), "nowhere.yaml cannot be read"),
        (("watch", "nope"), "there is no experiment 'nope'"),
        (("cancel", "nope"), "there is no experiment 'nope'"),
    ],
)
def test_what_is_not_possible_has_a_sentence(typed, address, arguments, words):
    done = typed("remote", *arguments, f"--address={address}")
    assert done.returncode == 2
    assert words in done.stderr


def test_a_simulator_that_is_not_there_has_a_sentence(typed):
    done = typed("remote", "workers", "--address=localhost:1", "--timeout=0.3")
    assert done.returncode == 2
    assert done.stderr.startswith("localhost:1 was not reached within 0.3 s")


def test_an_empty_simulator_says_so(typed, servers, tmp_path):
    at = f"--address={servers.federation(tmp_path, workers=False)}"
    assert typed("remote", "experiments", at).stdout == "the simulator has no experiments\n"
    assert typed("remote", "workers", at).stdout == "no worker is attached\n"
    assert typed("remote", "start", *SMALL, at).returncode == 0
    assert "has no rounds yet" in typed("remote", "history", at).stdout
