"""What the aggregator learns from clean samples of its own, the root data."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, vmap

from fedsiege import seeding
from fedsiege.errors import UnfitRound
from fedsiege.rules.context import RoundContext
from fedsiege.rules.network import build, by_name, size_of
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalOptimiser

#: Samples whose gradients are computed at a time.
_TOGETHER = 16


@dataclass(frozen=True)
class RootData:
    """The root samples and the model of a round.

    Args:
        context: its root, model and architecture are known.
        d: how many weights the updates have.

    Raises:
        UnfitRound: the model does not fit the updates.
    """

    context: RoundContext
    d: int

    def __post_init__(self) -> None:
        assert self.context.model is not None
        sizes = {
            "model": len(self.context.model),
            "architecture": size_of(self.context.architecture),
        }
        for what, size in sizes.items():
            if size != self.d:
                raise UnfitRound(f"the {what} has {size} weights, the updates have {self.d}")

    def update(self, optimiser: LocalOptimiser) -> Tensor:
        """Return ``(d,)`` float32: what a participant with the root samples would send.

        The order of the samples comes from the run's seed and the round.
        """
        context = self.context
        assert context.model is not None
        assert context.root is not None
        random = seeding.generator(context.seed, "root batch order", context.round_number)
        rows = np.tile(np.arange(len(context.root)), (optimiser.epochs, 1))
        order = torch.from_numpy(random.permuted(rows, axis=1))
        trainer = LoopTrainer(build(context.architecture), optimiser)
        [(_, deltas)] = trainer.train(context.model.float(), [context.root], [order])
        return deltas[0]

    def gradients(self) -> Tensor:
        """Return ``(samples, d)`` float32: the gradient of the loss of each root sample."""
        context = self.context
        assert context.model is not None
        assert context.root is not None
        module = build(context.architecture).to(context.model.device).eval()

        def loss(weights: Tensor, image: Tensor, label: Tensor) -> Tensor:
            logits = functional_call(module, by_name(module, weights), (image[None],))
            return F.cross_entropy(logits, label[None])

        weights = context.model.float()
        images, labels = context.root.inputs_like(weights), context.root.labels.to(weights.device)
        each = vmap(grad(loss), in_dims=(None, 0, 0), chunk_size=_TOGETHER)
        gradients: Tensor = each(weights, images, labels)
        return gradients.detach()
