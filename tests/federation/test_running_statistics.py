"""A model with batch normalisation in a whole federation: trained, attacked, tested, written."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fedsiege import attacks, datasets, models, rules
from fedsiege.experiment.spec import ExperimentSpec
from tests.classifiers import register
from tests.federation.conftest import DATA

HONEST = {"dataset": "digits", "clients": 6, "rounds": 4, "attack": 0, "samples": 80}
TRAINING = {"batch": 10, "lr": 0.05}


def network(inputs) -> nn.Module:
    """Return two convolutions with batch normalisation, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, stride=3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 3 * 3, inputs.classes),
    )


@pytest.fixture
def name(monkeypatch) -> str:
    """Make the network known to all services of the test; return its name."""
    return register(monkeypatch, network)


def spec_of(name: str, **settings: object) -> ExperimentSpec:
    return ExperimentSpec.of({**HONEST, **TRAINING, "model": name, **settings})


def accuracy(module: nn.Module, data: datasets.Dataset) -> float:
    """Return the accuracy on the test part, by torch alone."""
    with torch.no_grad():
        predicted = module(data.tensor(data.test_samples)).argmax(1)
    return float((predicted.numpy() == data.test_labels).mean())


def variances_of(name: str, weights: np.ndarray) -> np.ndarray:
    return np.concatenate([weights[place] for place in models.variances(models.layout(name))])


async def test_the_accuracy_is_that_of_the_written_model_in_eval_mode(town, name):
    outcome = await town.run(spec_of(name), clients=[4, 2])
    written = load_file(outcome.folder / "model.safetensors")
    assert list(written) == sorted(key for key, _ in models.layout(name))
    data = datasets.load("digits", DATA)
    module = network(data.inputs)
    module.load_state_dict(written)
    reported = outcome.accuracies[-1]
    assert accuracy(module.eval(), data) == reported > 0.9
    for layer in (module[1], module[4]):
        layer.reset_running_stats()  # as if they had been neither sent nor aggregated
    assert accuracy(module.eval(), data) < reported - 0.2


async def test_the_mean_of_the_statistics_is_that_of_the_participants(town, name):
    """One participant with all of the steps: what it sends is what torch makes of them."""
    outcome = await town.run(spec_of(name, clients=1, rounds=1), clients=[1])
    before, after = outcome.models
    p = models.trained(name)
    assert (before[p:] != after[p:]).all()
    module = network(datasets.load("digits", DATA).inputs)
    models.unflatten_into(module, torch.from_numpy(after))
    mean, variance = (module[1].get_buffer(key) for key in ("running_mean", "running_var"))
    assert torch.equal(torch.cat([mean, variance]), torch.from_numpy(after[p : p + 12]))
    assert variance.min() > 0


#: What is set so that an attack is quick.
QUICK = {"adaptive-alie": "adaptive-alie:evals=4", "adaptive-ipm": "adaptive-ipm:evals=4"}
LOST = "no update came in; the model is kept"


@pytest.mark.slow
@pytest.mark.parametrize("text", [QUICK.get(text, text) for text in attacks.names()])
async def test_no_attack_makes_a_variance_negative(town, name, text):
    few = {"clients": 10, "rounds": 2, "attack": 0.4, "samples": 10, "epochs": 1}
    spec = spec_of(name, attack_name=text, scale=10, init="random", **few)
    identities = 4 * max(1, attacks.parse(text).aliases)
    outcome = await town.run(spec, clients=[6], attackers=[identities])
    assert len(outcome.history) == len(outcome.models) == 3
    before = outcome.models[0]
    for entry, weights in zip(outcome.history, outcome.models, strict=True):
        values = variances_of(name, weights)
        where = f"round {entry.round}: {entry.remarks}, {entry.problem}, {values}"
        assert not (values < 0).any(), where
        assert entry.model_finite == np.isfinite(weights).all(), where
        assert 0 <= entry.accuracy <= 1, where
        if entry.problem:  # so far from the start that honest updates are too large to be taken in
            assert entry.problem == LOST
            assert np.array_equal(weights, before)
        else:
            said = re.findall(r"(\d+) variances .* below 0", "\n".join(entry.remarks))
            assert sum(map(int, said)) == (values == 0).sum(), where
        before = weights


async def test_what_is_cut_is_in_the_history_and_noted(town, name):
    some = {"clients": 10, "rounds": 3, "attack": 0.4, "samples": 20, "init": "random"}
    outcome = await town.run(
        spec_of(name, attack_name="ipm:eps=50", **some), clients=[6], attackers=[4]
    )
    remark = r"(\d+) variances of batch normalisation would be below 0, and are 0"
    cut = [entry.round for entry in outcome.history if entry.remarks]
    assert cut, "half of the mean of honest statistics, times fifty, with the other sign"
    for number in cut:
        [said] = outcome.history[number].remarks
        found = re.fullmatch(remark, said)
        assert int(found[1]) == (variances_of(name, outcome.models[number]) == 0).sum() > 0
    noted = [note for note in outcome.experiment.notes if re.search(remark, note)]
    assert noted == [f"from round {cut[0]} on: {outcome.history[cut[0]].remarks[0]}"]


@dataclass(frozen=True)
class Undefined(rules.Rule):
    """Make one variance undefined, and two negative."""

    name = "undefined"
    summary = "of a test"

    def combine(self, updates, context):
        step = torch.zeros(updates.shape[1])
        step[-3:] = torch.tensor([float("nan"), -1e9, -1e9])
        return rules.Aggregation(step, torch.ones(len(updates), dtype=torch.bool))


async def test_an_undefined_variance_shows_as_a_model_that_is_not_finite(town, name, monkeypatch):
    monkeypatch.setitem(rules.registry._classes, "undefined", Undefined)
    outcome = await town.run(spec_of(name, rule="undefined", rounds=1, clients=2), clients=[2])
    assert [entry.model_finite for entry in outcome.history] == [True, False]
    values = variances_of(name, outcome.models[-1])
    assert np.isnan(values[-3])
    assert (values[-2:] == 0).all()
    assert next(iter(outcome.history[1].remarks)).startswith("2 variances of batch normalisation")
