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
    r"""Pull the global model towards one base model, by all fake clients alike.

    Fake clients know the broadcast model only, and aim at a model that is as wrong as the base
    model. Every fake sends the same update in a round:

    .. math::

        g = \text{scale} \cdot (w' - w_t)

    :math:`w_t` is the broadcast model; scale is the paper's :math:`\lambda`, :math:`10^6` there.
    The base model :math:`w'` is fixed for the whole run: a random initialisation of the
    federation's architecture, drawn once from the run's seed, or a checkpoint.

    With FedAvg, a share :math:`p` of fakes and honest clients that hardly move, the gap shrinks by
    a constant factor in every round, and grows without bound where
    :math:`p \cdot \text{scale} > 2`:

    .. math::

        w' - w_{t+1} = (1 - p \cdot \text{scale}) (w' - w_t)

    Values beyond the range of float32 become infinite.

    Raises:
        InvalidValue: from ``craft``, the checkpoint is of another architecture.
        MissingData: from ``craft``, the checkpoint is not there.

    Source:
        Xiaoyu Cao and Neil Zhenqiang Gong, `MPAF: Model Poisoning Attacks to Federated Learning
        based on Fake Clients <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section 4.
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
def random_base(architecture: models.Named, seed: int) -> Tensor:
    """Return a random base model, ``(d,)`` float32, the same in every round of a run.

    Its purpose sets it apart from the federation's own random initial model, which may be what
    the run begins with.

    Args:
        architecture: the model.
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
    r"""Pull in MPAF's direction at the length of the last global step.

    Fake clients know the broadcast model only, and aim at a model that is as wrong as the base
    model, unseen by a test of norms. Every fake sends the same update:

    .. math::

        g = c \lVert G_t \rVert \frac{w' - w_t}{\lVert w' - w_t \rVert}, \qquad G_t = w_t - w_{t-1}

    :math:`w_t` is the broadcast model, :math:`G_t` the last global step and :math:`w'` the random
    base model of ``mpaf``. In the first round there is no step to match, and the fakes send zeros;
    so they do where :math:`w_t` has arrived at :math:`w'`.

    Source:
        The direction is that of Xiaoyu Cao and Neil Zhenqiang Gong, `MPAF: Model Poisoning Attacks
        to Federated Learning based on Fake Clients <https://arxiv.org/abs/2203.08669>`_, CVPR
        Workshops 2022, section 4. The matched norm is after Yueqi Xie, Minghong Fang and Neil
        Zhenqiang Gong, `Model Poisoning Attacks to Federated Learning via Multi-Round Consistency
        <https://arxiv.org/abs/2404.15611>`_ (PoisonedFL), CVPR 2025.
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
    r"""Send MPAF from fakes that differ: by a base model of their own, by noise, or by both.

    Fake clients know the broadcast model only, and aim at a model that is wrong on all inputs,
    unseen by a test for duplicates. Fake :math:`i` sends:

    .. math::

        g_i = u_i + \text{noise} \cdot \lVert u_i \rVert
            \frac{\varepsilon_i}{\lVert \varepsilon_i \rVert},
        \qquad u_i = \text{scale} \cdot (w'_i - w_t), \qquad \varepsilon_i \sim N(0, I)

    :math:`w_t` is the broadcast model. The random base model :math:`w'_i` is drawn once per run for
    each fake, the noise :math:`\varepsilon_i` in every round. With ``own_base=false`` all have the
    random base model of ``mpaf``. Base models of their own pull towards their mean, which lies
    closer to 0 than any of them.

    Source:
        The direction is that of Xiaoyu Cao and Neil Zhenqiang Gong, `MPAF: Model Poisoning Attacks
        to Federated Learning based on Fake Clients <https://arxiv.org/abs/2203.08669>`_, CVPR
        Workshops 2022, section 4. The noise is after Yueqi Xie, Minghong Fang and Neil Zhenqiang
        Gong, `Model Poisoning Attacks to Federated Learning via Multi-Round Consistency
        <https://arxiv.org/abs/2404.15611>`_ (PoisonedFL), CVPR 2025.
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
def own_bases(architecture: models.Named, seed: int, participants: tuple[int, ...]) -> Tensor:
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
