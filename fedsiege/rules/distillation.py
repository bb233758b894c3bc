"""Distillation: images on which a few steps of SGD make a given update."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from fedsiege.rules.network import Network, build, by_name


@dataclass(frozen=True)
class Synthetic:
    """Synthetic data of some participants, one image per class.

    Attributes:
        images: ``(k, classes, *input_shape)`` float32.
        labels: ``(k, classes, classes)`` float32, logits of the soft label of each image.
        rates: ``(k,)`` float32, the learning rate of the steps.
    """

    images: Tensor
    labels: Tensor
    rates: Tensor

    def rows(self, wanted: Tensor) -> "Synthetic":
        """Return that of some participants."""
        return Synthetic(self.images[wanted], self.labels[wanted], self.rates[wanted])


@dataclass(frozen=True)
class Distillation:
    """A search for synthetic data that reproduces updates.

    From ``w_t``, ``steps`` steps of SGD on all images at once, with soft cross entropy, lead to w;
    the error is ``||w - w_t - g||^2 / ||g||^2``. Adam on images, labels and the logarithm of the
    learning rate makes it smaller.

    Args:
        architecture: the network of the model.
        weights: ``(d,)`` float32, ``w_t``.
        steps: 1 or more.
        rate: of Adam.
    """

    architecture: Network
    weights: Tensor
    steps: int
    rate: float

    @torch.enable_grad()
    def search(
        self, updates: Tensor, data: Synthetic, iterations: int, enough: float
    ) -> tuple[Tensor, Synthetic]:
        """Look for data that reproduce ``(k, p)`` updates, none of them 0, starting from some.

        Args:
            updates: of the parameters, float32, on the device of the weights.
            data: of k participants, there too; not changed.
            iterations: 1 or more.
            enough: a search ends where the error is this or less.

        Returns:
            ``(k,)`` float64 on the CPU, the least error of each, infinite where the steps always
            diverged; and the data that have it.
        """
        loss = self._loss()
        errors = torch.full((len(updates),), torch.inf, dtype=torch.float64)
        found = Synthetic(data.images.clone(), data.labels.clone(), data.rates.clone())
        # One after the other: with weights of their own, vmapped convolutions are 20 times slower.
        for i, update in enumerate(updates):
            images, labels = data.images[i].clone(), data.labels[i].clone()
            log_rate = data.rates[i].log()
            wanted = [value.requires_grad_() for value in (images, labels, log_rate)]
            adam = torch.optim.Adam(wanted, lr=self.rate)
            for _ in range(iterations):
                error = self._error(loss, images, labels, log_rate.exp(), update)
                if float(error.detach()) < errors[i]:
                    errors[i] = float(error.detach())
                    found.images[i], found.labels[i] = images.detach(), labels.detach()
                    found.rates[i] = log_rate.detach().exp()
                if not errors[i] > enough or not error.isfinite():
                    break
                adam.zero_grad()
                error.backward()  # type: ignore[no-untyped-call]
                adam.step()
        return errors, found

    def _error(
        self,
        loss: Callable[[Tensor, Tensor, Tensor], Tensor],
        images: Tensor,
        labels: Tensor,
        rate: Tensor,
        update: Tensor,
    ) -> Tensor:
        """Return the error of one participant's data, differentiable."""
        weights = self.weights.detach().requires_grad_()
        moved = weights
        for _ in range(self.steps):
            [slope] = torch.autograd.grad(loss(moved, images, labels), moved, create_graph=True)
            moved = moved - rate * slope
        reached = (moved - weights)[: len(update)]
        return (reached - update).square().sum() / update.square().sum()

    def _loss(self) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Return the soft cross entropy as a function of weights, images and labels."""
        module = build(self.architecture).to(self.weights.device).eval()

        def loss(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
            logits = functional_call(module, by_name(module, weights), (images,))
            return F.cross_entropy(logits, labels.softmax(dim=1))

        return loss
