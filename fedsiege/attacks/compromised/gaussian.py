"""Gaussian attack: noise in place of an update, or on top of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, registry
from fedsiege.attacks.compromised.sample import deviation, mean, usable_sample
from fedsiege.errors import InvalidValue
from fedsiege.seeding import generator


@registry.register
@dataclass(frozen=True)
class Gaussian(CompromisedAttack):
    r"""Send Gaussian noise, in place of an update, on top of it, or fitted to benign updates.

    The attackers hold data; ``replace`` does not use it. They aim at a model that is wrong on all
    inputs. Every participant draws its noise afresh in every round:

    .. math::

        g_i = \begin{cases}
            \text{sigma} \cdot \varepsilon_i & \text{form=replace} \\
            u_i + \text{sigma} \cdot \varepsilon_i & \text{form=add} \\
            \mu + \text{sigma} \cdot s \odot \varepsilon_i & \text{form=fitted}
        \end{cases}
        \qquad \varepsilon_i \sim N(0, I)

    :math:`u_i` is what participant :math:`i` would have sent. :math:`\mu` and :math:`s` are mean
    and standard deviation of each coordinate of the sample, :math:`s` dividing by one less than its
    size. ``knowledge`` decides where they come from: from the attackers' own honest updates, or
    from the benign ones. The other forms use partial knowledge only.

    Raises:
        UnfitRound: (in a round) ``fitted`` finds fewer than 2 usable updates.

    Source:
        ``replace`` with sigma = 200: Peva Blanchard, El Mahdi El Mhamdi, Rachid Guerraoui and
        Julien Stainer, `Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent
        <https://papers.nips.cc/paper/2017/hash/f4b9ec30ad9f68f89b29639786cb62ef-Abstract.html>`_
        (Krum), NeurIPS 2017, section 5. ``fitted`` with sigma = 1: Minghong Fang, Xiaoyu Cao,
        Jinyuan Jia and Neil Zhenqiang Gong, `Local Model Poisoning Attacks to Byzantine-Robust
        Federated Learning <https://arxiv.org/abs/1911.11815>`_, USENIX Security 2020, section 5.1,
        "Gaussian attack". ``add`` is the noise of a careless or privacy-minded participant, for
        comparison.
    """

    name: ClassVar[str] = "gaussian"
    summary: ClassVar[str] = (
        "Gaussian noise instead of the update, added to it, or fitted to benign updates"
    )

    form: Annotated[
        Literal["replace", "add", "fitted"],
        "replace the update by noise, add noise to it, or fit noise to mean and deviation of "
        "the sample",
    ] = "replace"
    sigma: Annotated[
        float | None,
        Gt(0),
        "standard deviation of the noise; None for 200, or 1 with form=fitted, as published",
    ] = None

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.form != "fitted" and self.knowledge != "partial":
            allowed = f"partial with form={self.form}, which uses no more"
            raise InvalidValue(f"{self.name}:knowledge", self.knowledge, allowed)

    @property
    def least(self) -> int:
        """Two where it is fitted: one update has no deviation."""
        return 2 if self.form == "fitted" else 1

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``, every row drawn afresh."""
        d = broadcast.model.numel()
        centers = torch.zeros(len(participants), 1)
        spread: float | Tensor = 200.0 if self.sigma is None else self.sigma
        if self.form == "add":
            centers = broadcast.own_of(participants)
        elif self.form == "fitted":
            rows = usable_sample(self, broadcast)
            centers = mean(rows).expand(len(participants), -1)
            spread = deviation(rows) * (self.sigma or 1.0)
        updates = torch.empty(len(participants), d)
        for row, center, participant in zip(updates, centers, participants, strict=True):
            draw = generator(broadcast.seed, "gaussian attack", broadcast.round_number, participant)
            row.copy_(center + spread * torch.from_numpy(draw.standard_normal(d)))
        return updates
