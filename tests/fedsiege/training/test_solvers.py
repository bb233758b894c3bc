"""Proximal steps and unequal local work, by hand, in both trainers, and as FedNova reckons."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fedsiege import models
from fedsiege.models import random_weights
from fedsiege.rules import FedNova
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalAdam, LocalOptimiser, LocalSGD


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_two_proximal_steps_by_hand() -> None:
    """mu/2 ||w - w_t||^2 has the gradient mu (w - w_t), which is 0 in the first step."""
    values, start = doubles(1.0, -2.0), doubles(1.0, -2.0)
    plain = LocalSGD(0.1, momentum=0.0, proximal=0.5)
    plain.step(values, doubles(2.0, 1.0), [], 1, start)
    torch.testing.assert_close(values, doubles(0.8, -2.1), rtol=0, atol=1e-15)
    # 2 + 0.5 (0.8 - 1) = 1.9, and 1 + 0.5 (-2.1 + 2) = 0.95
    plain.step(values, doubles(2.0, 1.0), [], 2, start)
    torch.testing.assert_close(values, doubles(0.61, -2.195), rtol=0, atol=1e-15)


def test_the_proximal_term_enters_momentum_and_stands_beside_weight_decay() -> None:
    values, start = doubles(3.0), doubles(1.0)
    memory = [doubles(4.0)]
    heavy = LocalSGD(0.1, momentum=0.5, weight_decay=0.2, proximal=0.5)
    gradient = doubles(1.0)
    heavy.step(values, gradient, memory, 2, start)
    # g = 1 + 0.2 * 3 + 0.5 * (3 - 1) = 2.6; v = 0.5 * 4 + 2.6 = 4.6; w = 3 - 0.46
    assert values.item() == pytest.approx(2.54)
    assert memory[0].item() == pytest.approx(4.6)
    assert gradient.item() == 1, "changed"


def test_what_the_solvers_add_up_is_what_fednova_divides_by() -> None:
    """With a gradient of 1 throughout, the way over lr is the sum of a_i: no coefficient is < 0."""
    for momentum, proximal in ((0.0, 0.0), (0.5, 0.0), (0.9, 0.0), (0.0, 0.7), (0.0, 5.0)):
        solver = LocalSGD(0.1, momentum=momentum, proximal=proximal)
        rule = FedNova(momentum=momentum, mu=proximal, lr=0.1)
        for tau in (1, 2, 7, 40):
            values, start = doubles(2.0), doubles(2.0)
            memory = [doubles(0.0)] * solver.buffers
            for number in range(1, tau + 1):
                solver.step(values, doubles(1.0), memory, number, start)
            way = (start - values).item() / 0.1
            work = rule.work(torch.tensor([tau], dtype=torch.float64)).item()
            assert way == pytest.approx(work), (momentum, proximal, tau)


SOLVERS: list[LocalOptimiser] = [
    LocalSGD(0.05, momentum=0.9, epochs=4, batch_size=3, proximal=0.3),
    LocalSGD(0.05, momentum=0.0, epochs=4, batch_size=3, weight_decay=0.1, proximal=2.0),
    LocalAdam(0.01, epochs=4, batch_size=3, proximal=0.3),
]


@pytest.mark.parametrize("solver", SOLVERS)
def test_both_trainers_make_fedprox_steps_and_as_many_epochs_as_each_order_has(
    solver: LocalOptimiser, draw
) -> None:
    """Against torch's optimisers, the penalty in the loss and its gradient by autograd."""
    shards, orders = draw([5, 3, 5, 0, 4], solver)
    orders = [order[:epochs] for order, epochs in zip(orders, (4, 1, 2, 3, 4), strict=True)]
    start = random_weights("net", 0).double()
    expected = []
    for shard, order in zip(shards, orders, strict=True):
        model = copy.deepcopy(models.create("net")).double()
        vector_to_parameters(start.clone(), model.parameters())
        settings = {"lr": solver.learning_rate, "weight_decay": solver.weight_decay}
        theirs: torch.optim.Optimizer
        if isinstance(solver, LocalSGD):
            theirs = torch.optim.SGD(model.parameters(), momentum=solver.momentum, **settings)
        else:
            theirs = torch.optim.Adam(model.parameters(), **settings)
        for epoch in order:
            for first in range(0, len(shard), 3):
                batch = epoch[first : first + 3]
                theirs.zero_grad()
                loss = F.cross_entropy(model(shard.images[batch]), shard.labels[batch])
                away = parameters_to_vector(model.parameters()) - start
                (loss + solver.proximal / 2 * away.square().sum()).backward()
                theirs.step()
        expected.append(parameters_to_vector(model.parameters()).detach() - start)
    for trainer in (
        LoopTrainer(models.create("net"), solver),
        CohortTrainer(models.create("net"), solver),
        CohortTrainer(models.create("net"), solver, at_a_time=2),
    ):
        found = torch.cat([rows for _, rows in trainer.train(start, shards, orders)])
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-9)
