"""The types that a type checker infers: an aggregate is of the kind of the updates."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedsiege import detectors, rules
from fedsiege.rules import Aggregation, RoundContext

Arrays = list[npt.NDArray[np.float32]]
rule = rules.create("krum", f=np.int64(3), pre="nnm")


def of_lists(weights: list[Arrays], model: Arrays) -> Arrays:
    detectors.create("norm").score(weights)
    return rules.apply(rule(rules.deltas(weights, model)).update, model)


def of_states(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return rule(states).update


def of_array(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return rule(matrix, [1, 2, 3]).update


def of_tensor(matrix: Tensor, context: RoundContext) -> Tensor:
    aggregation: Aggregation = rule(matrix, np.arange(3), context=context)
    return aggregation.update


RoundContext(model=torch.nn.Linear(2, 1), root=(torch.zeros(3, 2), np.zeros(3, int)), steps=[4])
rule([1.0])  # WRONG
rule("abc")  # WRONG
rules.Krumm  # WRONG
"""


@pytest.mark.slow
def test_an_aggregate_has_the_type_of_the_updates(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", script],
        capture_output=True,
        check=False,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    found = {int(line) for line in re.findall(r"script.py:(\d+): error", done.stdout)}
    wrong = {i for i, line in enumerate(SCRIPT.splitlines(), 1) if "WRONG" in line}
    assert found == wrong, done.stdout + done.stderr
