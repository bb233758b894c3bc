"""What the trainers are held to: torch's optimisers, one participant after the other."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fedsiege.training.base import Shard, batch_order
from fedsiege.training.optimiser import LocalAdam, LocalOptimiser, LocalSGD


def of_torch(optimiser: LocalOptimiser, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return torch's optimiser of that name and those settings."""
    settings = {"lr": optimiser.learning_rate, "weight_decay": optimiser.weight_decay}
    if isinstance(optimiser, LocalSGD):
        return torch.optim.SGD(parameters, momentum=optimiser.momentum, **settings)
    assert isinstance(optimiser, LocalAdam)
    return torch.optim.Adam(parameters, **settings)


@pytest.fixture
def draw() -> Callable[..., tuple[list[Shard], list[Tensor]]]:
    """Draw shards of given sizes, and the orders to go through them."""

    def shards(
        sizes: Sequence[int],
        optimiser: LocalOptimiser,
        image: tuple[int, int, int] = (1, 28, 28),
        classes: int = 10,
        dtype: torch.dtype = torch.float64,
    ) -> tuple[list[Shard], list[Tensor]]:
        generator = torch.Generator().manual_seed(7)
        drawn = [
            Shard(
                torch.randn(size, *image, generator=generator, dtype=dtype),
                torch.randint(classes, (size,), generator=generator),
            )
            for size in sizes
        ]
        epochs = optimiser.epochs
        return drawn, [batch_order(3, 1, i, size, epochs) for i, size in enumerate(sizes)]

    return shards


@pytest.fixture
def flat() -> Callable[[nn.Module], Tensor]:
    """Return a module's weights as a flat float64 vector."""
    return lambda module: parameters_to_vector(module.parameters()).detach().double()


@pytest.fixture
def plain() -> Callable[..., Tensor]:
    """Train with the optimiser of torch; return the deltas ``(n, d)``."""

    def train(
        module: nn.Module,
        optimiser: LocalOptimiser,
        weights: Tensor,
        shards: Sequence[Shard],
        orders: Sequence[Tensor],
        factor: Tensor | None = None,
    ) -> Tensor:
        deltas = []
        for shard, order in zip(shards, orders, strict=True):
            model = copy.deepcopy(module).to(weights.dtype)
            vector_to_parameters(weights.clone(), model.parameters())
            theirs = of_torch(optimiser, list(model.parameters()))
            for epoch in order:
                for first in range(0, len(shard), optimiser.batch_size):
                    batch = epoch[first : first + optimiser.batch_size]
                    theirs.zero_grad()
                    F.cross_entropy(model(shard.images[batch]), shard.labels[batch]).backward()
                    if factor is not None:
                        gradient = parameters_to_vector([p.grad for p in model.parameters()])
                        vectors = (gradient * factor).split([p.numel() for p in model.parameters()])
                        for parameter, vector in zip(model.parameters(), vectors, strict=True):
                            parameter.grad = vector.view_as(parameter)
                    theirs.step()
            deltas.append(parameters_to_vector(model.parameters()).detach() - weights)
        return torch.stack(deltas)

    return train
