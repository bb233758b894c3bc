"""Where ByzFL is right, we agree with it to 1e-5; where it is not, other tests say what is right.

Known differences: ByzFL's Krum sums over one neighbour more than the paper's n - f - 2; its
geometric median stops after three steps unless told otherwise; SMEA and CAF take one step of the
power method from a random start (and CAF returns None for f = 0).
"""

import importlib.util
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from fedsiege import aggregation
from fedsiege.aggregation import RoundContext, pre

HERE = Path(__file__).parent
SCRIPT = HERE / "byzfl_reference.py"
EXPECTED = json.loads((HERE / "byzfl_reference.json").read_text())
PYTHON = HERE.parent.parent.parent / ".bench" / "byzfl" / "bin" / "python"
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


@pytest.mark.parametrize("text", RULES)
def test_rules_agree(text: str, updates: torch.Tensor) -> None:
    assert_close(aggregation.parse(text)(updates).update, text)


def test_medians_of_an_even_number_agree(updates: torch.Tensor) -> None:
    assert_close(aggregation.create("median")(updates[:10]).update, "median of 10")


@pytest.mark.parametrize("text", STEPS)
def test_pre_aggregators_agree(text: str, updates: torch.Tensor) -> None:
    step = pre.parse(text).for_participants(11, f=2)
    assert_close(step.transform(updates, RoundContext()).rows, text)


def test_centered_clipping_agrees_in_the_second_round(updates: torch.Tensor) -> None:
    text = "centered-clipping:tau=1,steps=2"
    rule = aggregation.parse(text)
    again = rule(updates[2:], state=rule(updates).state)
    assert_close(again.update, f"{text} again")


@pytest.mark.skipif(not PYTHON.exists(), reason="make bench-rules has not made its environment")
def test_the_kept_results_are_those_of_byzfl() -> None:
    run = subprocess.run([PYTHON, SCRIPT], capture_output=True, text=True, check=True)
    for name, value in json.loads(run.stdout).items():
        np.testing.assert_allclose(value, EXPECTED[name], rtol=1e-9, err_msg=name)
