"""MPAF: fake clients drag the global model towards a base model of the attacker's choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege import models
from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.errors import InvalidValue


@registry.register
@dataclass(frozen=True)
class Mpaf(Attack):
    """Model poisoning attack based on fake clients.

    Every fake sends the same update in a round::

        g = scale * (w' - w_t)

    where ``w'`` is the base model, fixed for the whole run. Under FedAvg, a share p of fakes and
    honest clients that hardly move, the gap ``w' - w_t`` shrinks by ``1 - p * scale`` a round; it
    grows without bound where ``p * scale > 2``. Elements beyond the range of float32 become
    infinite.

    Args:
        scale: lambda, greater than 0; 1e6 in the paper.
        base: ``random`` for a random initialisation of the federation's architecture, drawn once
            from the run's seed, or the path of a safetensors checkpoint of that architecture.

    Raises:
        InvalidValue: scale is not a finite number greater than 0, or base is empty; from ``craft``,
            the checkpoint is of another architecture.
        MissingData: from ``craft``, the checkpoint is not there.

    Source: Cao and Gong, MPAF: Model Poisoning Attacks to Federated Learning based on Fake
    Clients, CVPR workshops 2022, section 4.
    """

    name: ClassVar[str] = "mpaf"
    summary: ClassVar[str] = "all fakes pull towards one base model, lambda times the gap"

    scale: float = 1.0
    base: str = "random"

    def __post_init__(self) -> None:
        self.require_positive("scale")
        if not self.base:
            allowed = "random, or the path of a checkpoint"
            raise InvalidValue(f"{self.name}:base", self.base, allowed)

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        update = self.scale * gap(broadcast, base_model(self.base, broadcast))
        return update.float().expand(len(participants), -1)


def base_model(base: str, broadcast: Broadcast) -> Tensor:
    """Return the base model ``w'`` that all fakes share, ``(d,)`` float32."""
    if base == "random":
        return random_base(broadcast.architecture, broadcast.seed)
    return models.read_checkpoint(Path(base), broadcast.architecture)


@lru_cache(maxsize=8)
def random_base(architecture: str, seed: int) -> Tensor:
    """Return a random base model, ``(d,)`` float32, the same in every round of a run.

    Its purpose sets it apart from the federation's own random initial model, which may be what
    the run begins with.

    Args:
        architecture: the name of the model.
        seed: the run's seed.
    """
    return models.random_weights(architecture, seed, purpose="mpaf base model")


def gap(broadcast: Broadcast, base: Tensor) -> Tensor:
    """Return ``w' - w_t``, ``(d,)`` in float64, so that a lambda of 1e6 costs no accuracy."""
    model = broadcast.model.to(torch.float64)
    return base.to(model) - model
