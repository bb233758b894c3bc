"""MPAF and its variants: fake clients drag the global model towards a base model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, MinLen
from torch import Tensor

from fedsiege import models
from fedsiege.attacks.base import Attack, Broadcast, registry
from fedsiege.attacks.vectors import last_step, unit
from fedsiege.errors import InvalidValue
from fedsiege.registry import Spelling
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class Mpaf(Attack):
    """Model poisoning attack based on fake clients.

    Every fake sends the same update in a round::

        g = scale * (w' - w_t)

    where ``w'`` is the base model, fixed for the whole run: a random initialisation of the
    federation's architecture, drawn once from the run's seed, or a checkpoint. With FedAvg, a share
    p of fakes and honest clients that hardly move, the gap ``w' - w_t`` shrinks by ``1 - p *
    scale`` a round; it grows without bound where ``p * scale > 2``. Values beyond the range of
    float32 become infinite.

    Raises:
        InvalidValue: from ``craft``, the checkpoint is of another architecture.
        MissingData: from ``craft``, the checkpoint is not there.

    Source: Cao and Gong, MPAF: Model Poisoning Attacks to Federated Learning based on Fake Clients,
    CVPR workshops 2022, section 4; scale is lambda, 1e6 in the paper.
    """

    name: ClassVar[str] = "mpaf"
    summary: ClassVar[str] = "all fake clients pull towards one base model"

    scale: Annotated[float, Gt(0), "factor on the gap to the base model; 1e6 in the paper"] = 1.0
    base: Annotated[
        str,
        Spelling("random, or the path of a checkpoint"),
        MinLen(1),
        "the base model: random, or the path of a safetensors checkpoint of the same architecture",
    ] = "random"

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


@registry.register
@dataclass(frozen=True)
class MpafMatched(Attack):
    """MPAF's direction at the length of the last global step.

    Every fake sends the same update::

        g = c * ||G|| * (w' - w_t) / ||w' - w_t||,    G = w_t - w_{t-1}

    with the random base model ``w'`` of ``mpaf``. A test of norms does not see it. In the first
    round there is no step to match, and the fakes send zeros; so they do where ``w_t`` has arrived
    at ``w'``.

    Source: MPAF of Cao and Gong, CVPR workshops 2022; the matched norm after Xie, Fang and Gong,
    PoisonedFL, CVPR 2025.
    """

    name: ClassVar[str] = "mpaf-matched"
    summary: ClassVar[str] = "mpaf with updates as long as the last global step"

    c: Annotated[float, Gt(0), "length of an update, as a multiple of the last global step"] = 1.0

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``; the rows are one row in memory."""
        target = gap(broadcast, random_base(broadcast.architecture, broadcast.seed))
        length = self.c * float(last_step(broadcast).norm())
        return (length * unit(target)).float().expand(len(participants), -1)


@registry.register
@dataclass(frozen=True)
class MpafSpread(Attack):
    """MPAF with fakes that differ: by a base model of each one's own, by noise, or by both.

    Fake i sends::

        g_i = scale * (w'_i - w_t)
        g_i + noise * ||g_i|| * eps_i / ||eps_i||,    eps_i ~ N(0, I)

    ``w'_i`` is drawn once per run, ``eps_i`` in every round. With ``own_base=false`` all have the
    random base model of ``mpaf``. Base models of their own pull towards their mean, which lies
    closer to 0 than any of them. A test for duplicates does not see it.

    Source: MPAF of Cao and Gong, CVPR workshops 2022; the noise after Xie, Fang and Gong,
    PoisonedFL, CVPR 2025.
    """

    name: ClassVar[str] = "mpaf-spread"
    summary: ClassVar[str] = "mpaf with a base model or noise of each fake's own"

    scale: Annotated[float, Gt(0), "factor on the gap to the base model"] = 1.0
    own_base: Annotated[bool, "give every fake a base model of its own"] = True
    noise: Annotated[
        float, Ge(0), "length of each fake's own noise, as a multiple of its update"
    ] = 0.0

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if not self.own_base and not self.noise:
            allowed = "with own_base=false only noise > 0 tells the fakes apart; else use mpaf"
            raise InvalidValue(f"{self.name}:noise", self.noise, allowed)

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row another."""
        if self.own_base:
            bases = own_bases(broadcast.architecture, broadcast.seed, tuple(participants))
        else:
            shared = random_base(broadcast.architecture, broadcast.seed)
            bases = shared.expand(len(participants), -1)
        updates = torch.empty(len(participants), broadcast.model.numel())
        # one by one, since the float64 of all at once would be the largest thing in the worker
        for row, base, participant in zip(updates, bases, participants, strict=True):
            update = self.scale * gap(broadcast, base)
            if self.noise:
                update += self.noise * update.norm() * _direction(broadcast, participant)
            row.copy_(update)
        return updates


# Few, since each is as large as the updates made from it: a worker asks for the same fakes, some at
# a time, round after round.
@lru_cache(maxsize=4)
def own_bases(architecture: str, seed: int, participants: tuple[int, ...]) -> Tensor:
    """Return a random base model for each participant, ``(k, d)``, the same in every round."""
    bases = torch.empty(len(participants), models.size(architecture))
    for row, participant in zip(bases, participants, strict=True):
        purpose = f"mpaf base model of {participant}"
        row.copy_(models.random_weights(architecture, seed, purpose=purpose))
    return bases


def _direction(broadcast: Broadcast, participant: int) -> Tensor:
    """Return ``(d,)`` float64, a random direction of length 1 for one fake in one round."""
    draw = generator(broadcast.seed, "mpaf-spread noise", broadcast.round_number, participant)
    normal = draw.standard_normal(broadcast.model.numel(), dtype=np.float32)
    return unit(torch.from_numpy(normal).to(torch.float64))
