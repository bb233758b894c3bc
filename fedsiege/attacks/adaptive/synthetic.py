"""Training without data: what SGD does on images of noise.

A fake that trained its update, on whatever, has what honest updates have and crafted ones lack: the
exact zeros of dead units, class sums of zero, matrices of low rank, biases that go with weights.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fedsiege import models
from fedsiege.attacks.base import Broadcast
from fedsiege.inputs import MNIST_LIKE, Inputs, Tokens
from fedsiege.seeding import generator
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalSGD

#: Images of each fake, and how it trains on them: 4 steps.
SAMPLES = 8
SGD = LocalSGD(learning_rate=0.05, momentum=0.0, epochs=2, batch_size=4)


def synthetic_images(seed: int, participant: int, inputs: Inputs = MNIST_LIKE) -> Tensor:
    """Return ``(SAMPLES, *shape)`` float32, each value uniform from -1 to 1; or random tokens.

    A participant has the same images in every round, as one with data has.
    """
    draw = generator(seed, "synthetic images", participant=participant)
    if isinstance(inputs, Tokens):
        return torch.from_numpy(draw.integers(0, inputs.vocabulary, (SAMPLES, inputs.length)))
    pixels = draw.random((SAMPLES, *inputs.shape), dtype=np.float32)
    return torch.from_numpy(2 * pixels - 1)


def wrong_labels(module: nn.Module, images: Tensor) -> Tensor:
    """Return ``(S,)`` int64: for each image the class after the one that the model predicts."""
    with torch.no_grad():
        logits: Tensor = module(images)
    return (logits.argmax(1) + 1) % logits.shape[1]


def synthetic_steps(broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
    """Return ``(k, d)`` float32: what each of them gets by training on its synthetic images.

    They train from ``w_t`` by ``SGD`` on ``wrong_labels``, one by one, so that rounding does not
    depend on which of them a worker hosts. A model that is not finite gives rows that are not.
    """
    module = models.create(broadcast.architecture)
    models.unflatten_into(module, broadcast.model)
    inputs = models.classifier(broadcast.architecture).inputs
    images = [synthetic_images(broadcast.seed, each, inputs) for each in participants]
    shards = [Shard(some, wrong_labels(module, some)) for some in images]
    orders = [
        batch_order(broadcast.seed, broadcast.round_number, participant, SAMPLES, SGD.epochs)
        for participant in participants
    ]
    blocks = LoopTrainer(module, SGD).train(broadcast.model, shards, orders)
    rows = [row for _, row in blocks]
    return torch.cat(rows) if rows else broadcast.model.new_empty(0, broadcast.model.numel())
