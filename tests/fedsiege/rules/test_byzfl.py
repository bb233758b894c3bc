"""Where ByzFL is right, we agree with it to 1e-5; where it is not, other tests say what is right.

Known differences: ByzFL's Krum sums over one neighbour more than the paper's n - f - 2; its
geometric median stops after three steps unless told otherwise; SMEA and CAF take one step of the
power method from a random start (and CAF returns None for f = 0, and never returns where a row lies
a million times farther than the others, see test_subsets.py).
"""

import importlib.util
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from fedsiege import rules
from fedsiege.rules import RoundContext, pre

HERE = Path(__file__).parent
SCRIPT = HERE / "byzfl_reference.py"
EXPECTED = json.loads((HERE / "byzfl_reference.json").read_text())
VERSION, CLASSES = EXPECTED.pop("version"), EXPECTED.pop("classes")
ROOT = HERE.parent.parent.parent
PYTHON = ROOT / ".bench" / "byzfl" / "bin" / "python"
#: What each of its classes is compared with; with nothing, it says why.
COMPARED = {
    "ARC": "arc",
    "Average": "fedavg",
    "Bucketing": "bucketing",
    "CAF": "",  # not as the paper has it
    "CenteredClipping": "centered-clipping",
    "Clipping": "clipping",
    "GeometricMedian": "geometric-median",
    "Krum": "krum",
    "MDA": "mda",
    "Meamed": "meamed",
    "Median": "median",
    "MoNNA": "",  # a rule of peers, each of whom trusts itself; there is no server in it
    "MultiKrum": "multi-krum",
    "NNM": "nnm",
    "SMEA": "smea",
    "TrMean": "trimmed-mean",
}
RULES = [name for name in EXPECTED if " " not in name and name.partition(":")[0] not in pre.names()]
STEPS = [name for name in EXPECTED if name.partition(":")[0] in pre.names()]


@pytest.fixture
def updates() -> torch.Tensor:
    spec = importlib.util.spec_from_file_location("byzfl_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return torch.from_numpy(module.updates()).float()


def assert_close(found: torch.Tensor, name: str) -> None:
    np.testing.assert_allclose(found.numpy(), EXPECTED[name], rtol=1e-5, atol=1e-5)


def test_everything_that_byzfl_has_is_compared() -> None:
    assert set(CLASSES) == set(COMPARED)
    compared = {name.partition(" ")[0].partition(":")[0] for name in EXPECTED}
    assert compared == set(filter(None, COMPARED.values()))


def test_the_version_is_the_one_that_is_measured_beside_us() -> None:
    pinned = (ROOT / "benchmarks" / "peers" / "byzfl.txt").read_text()
    assert f"byzfl=={VERSION}\n" in pinned


@pytest.mark.parametrize("text", RULES)
def test_rules_agree(text: str, updates: torch.Tensor) -> None:
    assert_close(rules.parse(text)(updates).update, text)


def test_medians_of_an_even_number_agree(updates: torch.Tensor) -> None:
    assert_close(rules.create("median")(updates[:10]).update, "median of 10")


def test_smea_agrees_where_one_step_of_the_power_method_is_exact(updates: torch.Tensor) -> None:
    assert_close(rules.parse("smea:f=2")(updates[:, :1]).update, "smea:f=2 of one coordinate")


@pytest.mark.parametrize("text", STEPS)
def test_pre_aggregators_agree(text: str, updates: torch.Tensor) -> None:
    step = pre.parse(text).for_participants(11, f=2)
    assert_close(step.transform(updates, RoundContext()).rows, text)


def test_centered_clipping_agrees_in_the_second_round(updates: torch.Tensor) -> None:
    text = "centered-clipping:tau=1,steps=2"
    rule = rules.parse(text)
    again = rule(updates[2:], state=rule(updates).state)
    assert_close(again.update, f"{text} again")


@pytest.mark.skipif(not PYTHON.exists(), reason="make bench-rules has not made its environment")
def test_the_kept_results_are_those_of_byzfl() -> None:
    run = subprocess.run([PYTHON, SCRIPT], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout)
    assert (found.pop("version"), found.pop("classes")) == (VERSION, CLASSES)
    assert found.keys() == EXPECTED.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, EXPECTED[name], rtol=1e-9, err_msg=name)
