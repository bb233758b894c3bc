"""The command line: runs in processes of their own with real gRPC, refusals in this process."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from fedsiege import models
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import RunInfo

FEDSIEGE = [sys.executable, "-m", "fedsiege.cli.main"]
SMALL = ["--dataset=digits", "--clients=10", "--attack=0.3"]


def fedsiege(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FEDSIEGE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=50, check=False
    )


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def children_of(process_id: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process_id)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


def test_sim_runs_everything_and_leaves_its_results(tmp_path):
    done = fedsiege("sim", *SMALL, "--rounds=2", "--rule=krum", "--out=here", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "here"
    names = {"spec.yaml", "history.csv", "participants.csv", "accuracy.png", "model.safetensors"}
    names |= {"classes.csv", "confusion.csv", "detection.csv", "recall.png"}
    assert names <= {path.name for path in out.iterdir()}
    history = table(out / "history.csv")
    first_columns = ["round", "accuracy", "loss", "updates", "rejected", "seconds"]
    assert list(history[0])[:6] == first_columns
    assert [row["round"] for row in history] == ["0", "1", "2"]
    assert all(0 <= float(row["accuracy"]) <= 1 for row in history)
    people = table(out / "participants.csv")
    assert {row["hostile"] for row in people} == {"true", "false"}
    assert sum(row["hostile"] == "true" for row in people) == 2 * 3
    assert all(
        row["identity"].startswith("attacker") == (row["hostile"] == "true") for row in people
    )
    assert load_file(out / "model.safetensors")
    assert "krum assumes f=2" in done.stdout
    assert "by 3 of 10 participants" in done.stdout
    assert "points since the start" in done.stdout
    assert str(Path("here")) in done.stdout

    again = fedsiege("sim", "--spec=here/spec.yaml", "--out=again", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    repeated = table(tmp_path / "again" / "history.csv")
    for one, other in zip(history, repeated, strict=True):
        assert {**one, "seconds": ""} == {**other, "seconds": ""}


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--attack=1.5", "ATTACK='1.5' is not possible: a fraction from 0 to 1"),
        ("--attack=many", "ATTACK='many' is not possible: a fraction from 0 to 1"),
        ("--rounds=0", "ROUNDS='0'"),
        ("--rule=crum", "krum"),
        ("--rule=krum:f=49", "RULE"),
        ("--attack-name=mpav", "mpaf"),
        ("--model=resnet", "lenet5"),
        ("--dataset=minst", "mnist"),
        ("--threshold=101", "THRESHOLD"),
        ("--partition=dirichlet:0", "PARTITION"),
        ("--workers=0", "WORKERS"),
        ("--lr=nan", "LR='nan'"),
    ],
)
def test_the_impossible_is_refused_before_anything_starts(typed, tmp_path, argument, words):
    done = typed("sim", argument)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_results_are_never_overwritten(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "precious").write_text("mine")
    done = fedsiege("sim", "--out=here", cwd=tmp_path)
    assert done.returncode == 2
    assert "OUT" in done.stderr
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["precious"]


@pytest.fixture
def endless(tmp_path):
    """A run that would take for ever and has got to its fourth round."""
    process = subprocess.Popen(
        [*FEDSIEGE, "sim", *SMALL, "--rounds=100000", "--out=here"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    history = tmp_path / "here" / "history.csv"
    give_up = time.monotonic() + 40
    while not (history.exists() and len(history.read_text().splitlines()) > 4):
        assert time.monotonic() < give_up
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_one_interruption_stops_everything_and_keeps_what_there_is(tmp_path, endless, how):
    services = children_of(endless.pid)
    assert len(services) == 3, "aggregator, client, attacker"
    endless.send_signal(how)
    output, _ = endless.communicate(timeout=30)
    assert endless.returncode == 1, output
    assert "Traceback" not in output, output
    assert "Accuracy history" in output
    for service in services:
        with pytest.raises(ProcessLookupError):
            os.kill(service, 0)
    assert len(table(tmp_path / "here" / "history.csv")) >= 4
    assert (tmp_path / "here" / "accuracy.png").exists()
    assert (tmp_path / "here" / "model.safetensors").exists()


@pytest.mark.slow
def test_when_a_service_dies_the_run_ends_and_names_it(endless):
    os.kill(children_of(endless.pid)[0], signal.SIGKILL)
    output, _ = endless.communicate(timeout=40)
    assert endless.returncode == 2, output
    assert "aggregator ended" in output
    assert "Traceback" not in output, output


@pytest.mark.slow
def test_services_do_not_outlive_a_parent_that_is_killed(endless):
    services = children_of(endless.pid)
    endless.kill()
    endless.communicate(timeout=30)
    give_up = time.monotonic() + 20
    while any(Path(f"/proc/{service}").exists() for service in services):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_every_setting_is_an_option_with_its_help(typed):
    done = typed("sim", "--help")
    assert done.returncode == 0
    for name in ExperimentSpec.model_fields:
        assert f"--{name.replace('_', '-')}" in done.stdout
    assert "[default: (fedavg)]" in " ".join(done.stdout.replace("│", " ").split())


@pytest.mark.parametrize("what", ["rules", "attacks", "detectors"])
def test_listings_name_everything_with_its_parameters(typed, what):
    from fedsiege import attacks, detectors, rules

    done = typed(what)
    assert done.returncode == 0
    listed = {"rules": rules, "attacks": attacks, "detectors": detectors}[what]
    for name in listed.names():
        assert name in done.stdout
    if what == "detectors":
        assert "term=4" in done.stdout, "and the terms of quarantine"


def test_show_finds_a_run_by_its_name_and_prints_it(typed, tmp_path, write_run):
    write_run(tmp_path / "runs" / "siege")
    done = typed("show", "siege", "--target=0.95", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["target"], shown["rounds_to_target"]) == (0.95, None)
    done = typed("show", "sieg")
    assert done.returncode == 2
    assert "did you mean siege?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_begins_with_a_checkpoint_that_the_classifier_command_made(tmp_path):
    made = fedsiege(
        *("classifier", "--model=lenet5", "--dataset=digits", "--epochs=1", "--seed=3"),
        "--out=my/own.safetensors",
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    path = tmp_path / "my" / "own.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with safe_open(path, "np") as content:
        accuracy = float(content.metadata()["accuracy"])
    small = [*SMALL, "--model=lenet5", "--rounds=1"]
    done = fedsiege("sim", *small, "--init=my/own.safetensors", "--out=by-path", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"initial weights: own.safetensors, SHA-256 {digest}" in " ".join(done.stdout.split())
    assert "init: my/own.safetensors" in (tmp_path / "by-path" / "spec.yaml").read_text()
    assert digest in (tmp_path / "by-path" / "run.json").read_text()
    start = table(tmp_path / "by-path" / "history.csv")[0]
    assert float(start["accuracy"]) == pytest.approx(accuracy, abs=1e-4)
    # A file in the data folder goes by its name, as in containers.
    (tmp_path / "data" / "checkpoints").mkdir(parents=True)
    path.rename(tmp_path / "data" / "checkpoints" / "own.safetensors")
    done = fedsiege(
        *("sim", *small, "--init=own.safetensors", "--data=data", "--out=by-name"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for before, after in zip(
        table(tmp_path / "by-path" / "history.csv"),
        table(tmp_path / "by-name" / "history.csv"),
        strict=True,
    ):
        assert {**before, "seconds": ""} == {**after, "seconds": ""}


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--init=gone.safetensors", "no file has that path, and none that name in"),
        ("--init=notes.safetensors", "it must be a safetensors file"),
        (
            "--init=lenet5.safetensors",
            "of 'conv1.weight' net has [1, 1, 5, 5], the file [6",
        ),
        ("--init=destroyed.safetensors", "finite weights; these have NaN or Inf"),
        ("--init=pretraind", "pretrained, random, imagenet, or a safetensors file"),
    ],
)
def test_a_file_to_begin_with_is_checked_before_anything_starts(typed, tmp_path, argument, words):
    (tmp_path / "notes.safetensors").write_text("notes")
    ones = torch.ones(models.size("net"))
    models.write_checkpoint(tmp_path / "destroyed.safetensors", "net", ones * torch.inf, {})
    ones = torch.ones(models.size("lenet5"))
    models.write_checkpoint(tmp_path / "lenet5.safetensors", "lenet5", ones, {})
    done = typed("sim", *SMALL, argument, "--out=here")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert said.startswith(f"INIT='{argument.removeprefix('--init=')}' is not possible: ")
    assert words in said
    assert not (tmp_path / "here").exists()


@pytest.mark.slow
def test_a_dead_proxy_in_the_environment_stops_no_run(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    done = fedsiege("sim", *SMALL, "--rounds=1", "--out=here", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["round"] for row in table(tmp_path / "here" / "history.csv")] == ["0", "1"]
    for log in (tmp_path / "here" / "logs").iterdir():
        assert "proxy" not in log.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--partition=iid", "--samples=145"],
            "SAMPLES=145 is not possible: 10 participants with 145 of their own each need 1,450 "
            "samples, the data set has 1,442",
        ),
        (["--partition=dirichlet:0.5", "--samples=145"], "the data set has 1,442"),
        (["--min-clients=3"], "MIN_CLIENTS=3 is not possible: only with CLIENTS=0"),
        (["--memory=2g"], "MEMORY='2g' is not possible: only with ENGINE=docker or swarm"),
        (["--cpus=2"], "CPUS=2.0 is not possible: only with ENGINE=docker or swarm"),
        (["--per-container=2"], "PER_CONTAINER=2 is not possible: only with ENGINE=docker"),
        (["--image=other"], "IMAGE='other' is not possible: only with ENGINE=docker or swarm"),
        (["--baseline=maybe"], "BASELINE='maybe' is not possible"),
    ],
)
def test_what_would_have_no_effect_or_no_data_is_refused_and_leaves_no_folder(
    typed, tmp_path, arguments, words
):
    done = typed("sim", *SMALL, *arguments, "--out=here")
    assert done.returncode == 2, done.stdout
    assert words in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_and_leaves_no_folder(typed, tmp_path):
    done = typed("sim", *SMALL, "--device=cuda", "--out=here")
    assert done.returncode == 2, done.stdout
    assert "DEVICE='cuda' is not possible: cpu, or cuda where" in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_has_no_effect_is_noted(tmp_path):
    arguments = ["--dataset=digits", "--clients=3", "--attack=0", "--rounds=1", "--out=here"]
    arguments += ["--attack-name=alie", "--leaked=3", "--workers=9", "--baseline=run"]
    done = fedsiege("sim", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    notes = RunInfo.read(tmp_path / "here").notes
    for note in (
        "ATTACK_NAME=alie has no effect: ATTACK=0",
        "LEAKED=3 has no effect: ",
        "WORKERS=9 is as 3: there are 3 benign participants",
        "BASELINE=run has no effect: there is no attack to tell the cost of",
    ):
        assert any(note in line for line in notes), note


def test_a_misspelt_variable_is_refused_with_the_nearest(typed, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSIEGE_ATTAK", "0.3")
    done = typed("sim", *SMALL, "--out=here")
    assert done.returncode == 2
    words = "FEDSIEGE_ATTAK='0.3' is not possible: there is no such variable, did you mean "
    assert f"{words}FEDSIEGE_ATTACK?" in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_a_command_does_not_read_is_noted(typed, monkeypatch):
    monkeypatch.setenv("FEDSIEGE_ATTACK", "0.3")
    done = typed("grid", "none.yaml")
    said = "FEDSIEGE_ATTACK has no effect on fedsiege grid: its file has the settings"
    assert said in done.stderr
