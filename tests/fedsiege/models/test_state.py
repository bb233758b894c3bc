"""Floating-point buffers are part of a model; what mixes the samples of a batch is refused."""

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
from tests.classifiers import register


class Holding(nn.Module):
    """Holds a buffer and does nothing with it."""

    def __init__(self, value: torch.Tensor, persistent: bool) -> None:
        super().__init__()
        self.register_buffer("held", value, persistent=persistent)

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


#: A module with buffers, and those that belong to its state, with their sizes.
BUFFERED = {
    "BatchNorm2d": (
        lambda: with_layer(nn.BatchNorm2d(1)),
        {"0.running_mean": 1, "0.running_var": 1},
    ),
    "BatchNorm1d": (OneDimensional, {"norm.running_mean": 784, "norm.running_var": 784}),
    "InstanceNorm": (
        lambda: with_layer(nn.InstanceNorm2d(1, track_running_stats=True)),
        {"0.running_mean": 1, "0.running_var": 1},
    ),
    "floating point": (lambda: with_layer(Holding(torch.ones(2, 3), True)), {"0.held": 6}),
    "integer": (lambda: with_layer(Holding(torch.zeros((), dtype=torch.int64), True)), {}),
    "not saved": (lambda: with_layer(Holding(torch.ones(3), False)), {}),
}
#: They look at one sample at a time, in training as in the test.
STATELESS = {
    "GroupNorm": lambda: with_layer(nn.GroupNorm(1, 1)),
    "LayerNorm": lambda: with_layer(nn.LayerNorm(28)),
    "InstanceNorm": lambda: with_layer(nn.InstanceNorm2d(1)),
}
#: Each sample by itself when tested, too.
BY_ITSELF = STATELESS | {
    name: BUFFERED[name][0] for name in ("BatchNorm2d", "BatchNorm1d", "InstanceNorm")
}


@pytest.mark.parametrize("case", BUFFERED)
def test_buffers_of_floating_point_that_are_saved_follow_the_parameters(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, carried = BUFFERED[case]
    name = register(monkeypatch, lambda inputs: make())
    module = models.create(name)
    parameters = {key: value.numel() for key, value in module.named_parameters()}
    layout = {key: int(np.prod(shape)) for key, shape in models.layout(name)}
    assert list(layout.items()) == list((parameters | carried).items())
    assert models.trained(name) == sum(parameters.values())
    assert models.size(name) == models.trained(name) + sum(carried.values())
    kept = {key: value.clone() for key, value in module.state_dict().items() if key not in layout}
    weights = torch.arange(models.size(name), dtype=torch.float32)
    models.unflatten_into(module, weights)
    assert torch.equal(models.flatten(module), weights)
    start = models.trained(name)
    for key, count in carried.items():
        assert torch.equal(module.get_buffer(key).flatten(), weights[start : start + count])
        start += count
    assert all(torch.equal(kept[key], module.state_dict()[key]) for key in kept)


@pytest.mark.parametrize("case", BUFFERED)
def test_a_vector_without_the_buffers_is_refused_and_changes_nothing(case: str) -> None:
    make, carried = BUFFERED[case]
    module = make()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    short = torch.zeros(sum(value.numel() for value in module.parameters()))
    calls = [
        lambda: models.unflatten_into(module, short),
        lambda: LoopTrainer(module, LocalSGD(0.1)).train(short, [], []),
    ]
    if case == "BatchNorm2d":
        calls.append(lambda: CohortTrainer(module, LocalSGD(0.1)).train(short, [], []))
    for call in calls:
        if carried:
            with pytest.raises(InvalidValue, match=rf"\({len(short)},\)"):
                call()
        else:
            call()
            models.unflatten_into(module, torch.cat([v.flatten() for v in module.parameters()]))
    if carried:
        assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_variances_are_found_wherever_they_lie() -> None:
    layout = (("a.weight", (2, 3)), ("a.running_mean", (2,)), ("a.running_var", (2,)))
    assert models.variances(layout) == [slice(8, 10)]
    assert models.variances((*layout, ("running_var", ()), ("prerunning_var", (1,)))) == [
        slice(8, 10),
        slice(10, 11),
    ]


def entry_points(model: str, folder: Path):
    data = datasets.load("digits", folder)
    few = data.test_samples[:10], data.test_labels[:10]
    return {
        "resolve": lambda: resolve(ExperimentSpec.of({"model": model, "dataset": "digits"})),
        "create": lambda: models.create(model),
        "layout": lambda: models.layout(model),
        "size": lambda: models.size(model),
        "trained": lambda: models.trained(model),
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


def test_what_classifies_a_sample_by_the_others_is_refused_at_every_entry_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = register(
        monkeypatch, lambda inputs: with_layer(nn.BatchNorm2d(1, track_running_stats=False))
    )
    for entry, call in entry_points(name, tmp_path).items():
        with pytest.raises(InvalidValue, match=r"each sample by itself: 0 \(BatchNorm2d\)") as no:
            call()
        assert no.value.name == ("MODEL" if entry == "resolve" else "model"), entry
        assert no.value.value == "own"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", BY_ITSELF)
def test_normalisation_of_each_sample_by_itself_is_accepted_and_tested_as_trained(
    case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = register(monkeypatch, lambda inputs: BY_ITSELF[case]())
    resolve(ExperimentSpec.of({"model": name, "dataset": "digits"}))
    data = datasets.load("digits", tmp_path)
    weights = models.random_weights(name, 1)
    weights[models.trained(name) :] += 0.5  # statistics that are no defaults
    images, labels = data.test_samples[:150], data.test_labels[:150]
    whole = Evaluator(name, images, labels)(weights)
    alone = [Evaluator(name, images[i : i + 1], labels[i : i + 1])(weights) for i in range(150)]
    assert whole.accuracy == pytest.approx(np.mean([one.accuracy for one in alone]))
