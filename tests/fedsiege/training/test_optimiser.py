"""The optimisers' own steps, and what can be asked of them. Training holds them to torch's."""

import math

import pytest
import torch

from fedsiege.errors import InvalidValue
from fedsiege.training import optimiser
from fedsiege.training.optimiser import LocalAdam, LocalOptimiser, LocalSGD
from tests.cases import each

KINDS: list[type[LocalOptimiser]] = [LocalSGD, LocalAdam]


def test_the_defaults_of_sgd_are_those_of_the_seed_project() -> None:
    assert LocalSGD() == LocalSGD(0.001, 0.9, epochs=2, batch_size=4, weight_decay=0.0)


def test_those_of_adam_differ_in_the_optimiser_alone() -> None:
    assert LocalAdam() == LocalAdam(0.001, epochs=2, batch_size=4, weight_decay=0.0)


@each("kind", KINDS)
@each(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("epochs", 0),
        ("batch_size", 0),
        ("weight_decay", -0.1),
        ("weight_decay", float("inf")),
        ("weight_decay", float("nan")),
    ],
)
def test_impossible_parameters_are_named(
    kind: type[LocalOptimiser], name: str, value: float
) -> None:
    with pytest.raises(InvalidValue, match=f"{name}={value}"):
        kind(**{name: value})


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_an_impossible_momentum_is_named(value: float) -> None:
    with pytest.raises(InvalidValue, match=f"momentum={value}"):
        LocalSGD(momentum=value)


def memory_of(kind: LocalOptimiser) -> list[torch.Tensor]:
    return [torch.zeros(2, dtype=torch.float64) for _ in range(kind.buffers)]


def test_two_steps_of_adam_by_hand() -> None:
    adam = LocalAdam(0.5)
    values, memory = torch.tensor([1.0, 1.0]).double(), memory_of(adam)
    # Corrected moments g and g²: a step of the learning rate, against the sign of the gradient.
    adam.step(values, torch.tensor([2.0, -1e-3]).double(), memory, 1)
    assert values.tolist() == pytest.approx([0.5, 1.5], abs=1e-5)
    # m = .9 · .2 + .1 · 1 = .28, corrected / .19; v = .999 · .004 + .001 · 1 = .004996, / .001999.
    adam.step(values, torch.tensor([1.0, 0.0]).double(), memory, 2)
    moved = 0.5 * (0.28 / 0.19) / math.sqrt(0.004996 / 0.001999)
    assert values[0].item() == pytest.approx(0.5 - moved, abs=1e-7)


def test_adam_does_not_divide_by_zero() -> None:
    adam = LocalAdam()
    values = torch.tensor([3.0, 3.0]).double()
    adam.step(values, torch.zeros(2).double(), memory_of(adam), 1)
    assert values.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_does_not_change_the_gradient(kind: type[LocalOptimiser]) -> None:
    one = kind(weight_decay=0.5)
    gradient = torch.tensor([1.0, 2.0]).double()
    one.step(torch.ones(2).double(), gradient, memory_of(one), 1)
    assert gradient.tolist() == [1.0, 2.0]


def test_memory_is_what_is_needed() -> None:
    assert LocalSGD(momentum=0.0).buffers == 0
    assert LocalSGD(momentum=0.9).buffers == 1
    assert LocalAdam().buffers == 2


def test_by_name() -> None:
    assert optimiser.create("sgd", 0.1, 0.5, 3, 8) == LocalSGD(0.1, 0.5, 3, 8)
    assert optimiser.create("adam", 0.1, 0.0, 3, 8) == LocalAdam(0.1, 3, 8)


@pytest.mark.parametrize("name", ["", "Adam", "rmsprop"])
def test_an_unknown_one_is_named(name: str) -> None:
    with pytest.raises(InvalidValue, match=f"optimizer={name!r} is not possible: sgd or adam"):
        optimiser.create(name, 0.1, 0.0, 1, 1)


@pytest.mark.parametrize("momentum", [0.9, -0.1, float("nan")])
def test_adam_takes_no_momentum(momentum: float) -> None:
    with pytest.raises(InvalidValue, match=f"momentum={momentum} is not possible: 0 with adam"):
        optimiser.create("adam", 0.1, momentum, 1, 1)
