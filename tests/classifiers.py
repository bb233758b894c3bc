"""Each model of the catalogue for inputs that it takes, and samples of such inputs."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from fedsiege import models
from fedsiege.errors import InvalidValue
from fedsiege.inputs import MNIST_LIKE, Features, Image, Inputs, Tokens

#: The first of these that a model takes is the one that it is tested with.
INPUTS = (MNIST_LIKE, Image(3, 32, 32, 10), Features(12, 10), Tokens(9, 20, 10))


def classifier(name: str) -> models.Classifier:
    """Return a model for the first of ``INPUTS`` that it takes."""
    for inputs in INPUTS:
        try:
            models.layout(found := models.Classifier(name, inputs))
        except InvalidValue:
            continue
        return found
    raise AssertionError(f"{name} takes none of {INPUTS}")


def classifiers() -> list[models.Classifier]:
    """Return every model of the catalogue, by name."""
    return [classifier(name) for name in models.names()]


def samples(inputs: Inputs, number: int, seed: int = 0) -> Tensor:
    """Return random samples ``(number, *inputs.shape)`` as a model takes them."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(inputs, Tokens):
        return torch.randint(inputs.vocabulary, (number, *inputs.shape), generator=generator)
    return torch.randn(number, *inputs.shape, generator=generator)


def register(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[Inputs], nn.Module], name: str = "own"
) -> str:
    """Make a model known under a name for the duration of a test; return the name."""

    @dataclass(frozen=True)
    class Own(models.Model):
        summary = "of a test"

        def build(self, inputs: Inputs) -> nn.Module:
            return make(inputs)

    Own.name = name
    monkeypatch.setitem(models.registry._classes, name, Own)
    # What is known of a classifier is kept by its name, which means another model in each test.
    monkeypatch.setattr(models.base, "_tensors", models.base._tensors.__wrapped__)
    return name
