"""A model whose result is not determined by its parameters is refused before anything starts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedsiege import datasets, models
from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.training.classifier import make_checkpoint, recipe_for
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.evaluation import Evaluator
from fedsiege.training.hosted import LocalTraining
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD


class Counted(nn.Module):
    """Counts its calls in a whole number, which a vector of parameters does not hold."""

    def __init__(self, persistent: bool) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64), persistent=persistent)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def with_layer(layer: nn.Module) -> nn.Module:
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(784, 10))


class OneDimensional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Flatten()
        self.norm = nn.BatchNorm1d(784)
        self.output = nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.output(self.norm(self.rows(images)))


STATISTICS = "has running_mean, running_var, num_batches_tracked"
BUFFERED = {
    "BatchNorm2d": (lambda: with_layer(nn.BatchNorm2d(1)), rf"0 \(BatchNorm2d\) {STATISTICS}"),
    "BatchNorm1d": (OneDimensional, rf"norm \(BatchNorm1d\) {STATISTICS}"),
    "InstanceNorm": (
        lambda: with_layer(nn.InstanceNorm2d(1, track_running_stats=True)),
        rf"0 \(InstanceNorm2d\) {STATISTICS}",
    ),
    "buffer": (lambda: with_layer(Counted(True)), r"0 \(Counted\) has calls"),
    "buffer that is not saved": (lambda: with_layer(Counted(False)), r"0 \(Counted\) has calls"),
}
BY_BATCH = {
    "BatchNorm2d without statistics": (
        lambda: with_layer(nn.BatchNorm2d(1, track_running_stats=False)),
        r"each sample by itself: 0 \(BatchNorm2d\)",
    ),
}
#: They look at one sample at a time, in training as in the test.
STATELESS = {
    "GroupNorm": lambda: with_layer(nn.GroupNorm(1, 1)),
    "LayerNorm": lambda: with_layer(nn.LayerNorm(28)),
    "InstanceNorm": lambda: with_layer(nn.InstanceNorm2d(1)),
}


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch):
    """Register a model under a name for the duration of a test."""

    def add(name: str, make) -> str:
        @dataclass(frozen=True)
        class Own(models.Model):
            summary = "of a test"

            def build(self) -> nn.Module:
                return make()

        Own.name = name
        monkeypatch.setitem(models.registry._classes, name, Own)
        return name

    return add


def entry_points(model: str, folder: Path):
    data = datasets.load("digits", folder)
    few = data.test_samples[:10], data.test_labels[:10]
    return {
        "resolve": lambda: resolve(ExperimentSpec.of({"model": model, "dataset": "digits"})),
        "create": lambda: models.create(model),
        "layout": lambda: models.layout(model),
        "size": lambda: models.size(model),
        "random weights": lambda: models.random_weights(model, 0),
        "initial weights": lambda: models.initial_weights(model, "random", "digits", 0),
        "evaluation": lambda: Evaluator(model, *few),
        "local training": lambda: LocalTraining(
            model, "digits", folder, "iid", 4, 2, 0, LocalSGD(0.1)
        ),
        "classifier": lambda: make_checkpoint(
            model, data, recipe_for("digits"), 0, folder / "new" / "file"
        ),
    }


@pytest.mark.parametrize("case", [*BUFFERED, *BY_BATCH])
def test_a_run_with_it_is_refused_at_every_entry_with_the_names_of_its_layers(
    case: str, register, tmp_path: Path
) -> None:
    make, problem = (BUFFERED | BY_BATCH)[case]
    name = register("own", make)
    for entry, call in entry_points(name, tmp_path).items():
        with pytest.raises(InvalidValue, match=problem) as refusal:
            call()
        assert refusal.value.name == ("MODEL" if entry == "resolve" else "model"), entry
        assert refusal.value.value == "own"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", BUFFERED)
def test_a_module_with_buffers_is_neither_vectorised_nor_trained(case: str) -> None:
    make, problem = BUFFERED[case]
    module = make()
    d = sum(parameter.numel() for parameter in module.parameters())
    before = {key: value.clone() for key, value in module.state_dict().items()}
    for call in (
        lambda: models.flatten(module),
        lambda: models.unflatten_into(module, torch.zeros(d)),
        lambda: LoopTrainer(module, LocalSGD(0.1)),
        lambda: CohortTrainer(module, LocalSGD(0.1)),
    ):
        with pytest.raises(InvalidValue, match=problem):
            call()
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


@pytest.mark.parametrize("case", STATELESS)
def test_normalisation_of_each_sample_by_itself_is_accepted_and_tested_as_trained(
    case: str, register, tmp_path: Path
) -> None:
    name = register(f"own-{case.lower()}", STATELESS[case])
    resolve(ExperimentSpec.of({"model": name, "dataset": "digits"}))
    data = datasets.load("digits", tmp_path)
    weights = models.random_weights(name, 1)
    images, labels = data.test_samples[:150], data.test_labels[:150]
    whole = Evaluator(name, images, labels)(weights)
    alone = [Evaluator(name, images[i : i + 1], labels[i : i + 1])(weights) for i in range(150)]
    assert whole.accuracy == pytest.approx(np.mean([one.accuracy for one in alone]))
