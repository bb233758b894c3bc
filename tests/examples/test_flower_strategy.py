"""``examples/flower_strategy.py``: a rule in a Flower strategy, with Flower's lists of arrays."""

import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "flower_strategy.py"


class StandIn:
    """What the script takes of Flower's FedAvg and NumPyClient."""

    def __init__(self, initial_parameters: Any = None, **settings: Any) -> None:
        self.initial_parameters = initial_parameters


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the script, imported beside a stand-in for Flower, whose parameters are lists."""
    names = {
        "flwr": (),
        "flwr.client": ("ClientApp", "NumPyClient"),
        "flwr.common": ("ndarrays_to_parameters", "parameters_to_ndarrays"),
        "flwr.server": ("ServerApp", "ServerAppComponents", "ServerConfig"),
        "flwr.server.strategy": ("FedAvg",),
        "flwr.simulation": ("run_simulation",),
    }
    for module, contents in names.items():
        made = types.ModuleType(module)
        for name in contents:
            setattr(made, name, list if "ndarrays" in name else StandIn)
        monkeypatch.setitem(sys.modules, module, made)
    spec = importlib.util.spec_from_file_location("flower_strategy", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def play(script: Any, rule: str) -> tuple[list[np.ndarray[Any, Any]], dict[str, Any]]:
    """Return the model and the metrics after ten rounds with ten clients."""
    model = [np.zeros(20, np.float32), np.zeros((), np.float32)]
    strategy = script.RuleStrategy(rule, model)
    clients = [script.Client(number, hostile=number < 2) for number in range(10)]
    metrics: dict[str, Any] = {}
    for number in range(1, 11):
        results = []
        for i, client in enumerate(clients):
            weights, samples, _ = client.fit(model, {})
            # Flower's identities are numbers of 64 bits without a sign.
            proxy = types.SimpleNamespace(cid=str(2**64 - 1 - i))
            results.append((proxy, types.SimpleNamespace(parameters=weights, num_examples=samples)))
        model, metrics = strategy.aggregate_fit(number, results, [])
    return model, metrics


def test_the_model_stays_in_the_kind_that_flower_passes(script: Any) -> None:
    model, metrics = play(script, "krum:f=2")
    assert [(layer.shape, layer.dtype) for layer in model] == [
        ((20,), np.float32),
        ((), np.float32),
    ]
    assert metrics == {"accepted": 1}


@pytest.mark.parametrize("rule", ["krum:f=2", "nnm:f=2/median", "foolsgold", "fldetector", "crfl"])
def test_rules_of_every_sort_work_in_it(script: Any, rule: str) -> None:
    model, _ = play(script, rule.replace("nnm:f=2/median", "nnm:f=2/median"))
    assert np.isfinite(model[0]).all()


def test_the_rule_defends(script: Any) -> None:
    (mean, *_), _ = play(script, "fedavg")
    (krum, *_), _ = play(script, "krum:f=2")
    assert np.linalg.norm(krum - script.TRUTH) < 0.5
    assert np.linalg.norm(mean - script.TRUTH) > 100


def test_a_round_without_results_changes_nothing(script: Any) -> None:
    assert script.RuleStrategy("median", [np.zeros(3, np.float32)]).aggregate_fit(1, [], []) == (
        None,
        {},
    )


@pytest.mark.slow
def test_the_script_runs_in_flower() -> None:
    pytest.importorskip("flwr", reason="flwr is not installed: pip install 'flwr[simulation]'")
    done = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, check=False, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["fedavg", "krum"]
