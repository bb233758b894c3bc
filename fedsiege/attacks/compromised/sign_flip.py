"""Sign flip: of the own update, of the benign mean, or of every local gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack, PoisoningAttack, registry
from fedsiege.attacks.compromised.sample import mean, same_row, usable_sample
from fedsiege.errors import InvalidValue
from fedsiege.registry import Spelling


@registry.register
@dataclass(frozen=True)
class SignFlip(CompromisedAttack):
    r"""Send an update with the opposite sign: the own one, or the mean.

    The attackers hold data, and aim at a model that moves against the direction of descent:

    .. math::

        g_i = \begin{cases}
            -\text{scale} \cdot u_i & \text{form=own} \\
            -\text{scale} \cdot \mu & \text{form=mean}
        \end{cases}

    :math:`u_i` is what participant :math:`i` would have sent, which is partial knowledge.
    :math:`\mu` is the mean of the sample, and all attackers send the same; ``knowledge`` decides
    where it comes from: from their own honest updates, or from the benign ones. A third attack of
    that name negates every local gradient: ``sign-flip-gradient``.

    Raises:
        UnfitRound: (in a round) no usable update is there to take the mean of.

    Source:
        ``own``: Liping Li, Wei Xu, Tianyi Chen, Georgios B. Giannakis and Qing Ling, `RSA:
        Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning from Heterogeneous
        Datasets <https://arxiv.org/abs/1811.03761>`_, AAAI 2019, section 5, "sign-flipping attack".
        ``mean``: Zeyuan Allen-Zhu, Faeze Ebrahimianghazani, Jerry Li and Dan Alistarh,
        `Byzantine-Resilient Non-Convex Stochastic Gradient Descent
        <https://arxiv.org/abs/2012.14368>`_, ICLR 2021, as in ByzFL.
    """

    name: ClassVar[str] = "sign-flip"
    summary: ClassVar[str] = "own update, or the benign mean, with the opposite sign"

    form: Annotated[
        Literal["own", "mean"],
        Spelling("own or mean; for local gradients take sign-flip-gradient"),
        "reverse the own update, or the mean of the sample",
    ] = "own"
    scale: Annotated[float, Gt(0), "factor on the reversed update"] = 1.0

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.form == "own" and self.knowledge != "partial":
            allowed = "partial with form=own, which uses no more"
            raise InvalidValue(f"{self.name}:knowledge", self.knowledge, allowed)

    def craft(self, broadcast: Broadcast, participants: Sequence[int]) -> Tensor:
        """Return ``(k, d)``."""
        if self.form == "own":
            return (-self.scale * broadcast.own_of(participants).double()).float()
        update = -self.scale * mean(usable_sample(self, broadcast))
        return same_row(update, len(participants))


@registry.register
@dataclass(frozen=True)
class SignFlipGradient(PoisoningAttack):
    r"""Train locally with the opposite sign on every gradient.

    The attackers hold data and know nothing of other updates (partial knowledge). They aim at a
    model that moves against the direction of descent. In each local step, with the learning rate
    :math:`\eta`:

    .. math::

        w \leftarrow w + \eta \nabla \ell(w)

    :math:`\ell` is the loss of the batch. The sign changes before weight decay and momentum, which
    work on the negated gradient. The samples are left as they are. After one step that is
    ``sign-flip``. After more, each gradient is taken where the steps before have led, so the result
    is not the opposite of an honest update.

    Source:
        The gradient form of Liping Li, Wei Xu, Tianyi Chen, Georgios B. Giannakis and Qing Ling,
        `RSA: Byzantine-Robust Stochastic Aggregation Methods for Distributed Learning from
        Heterogeneous Datasets <https://arxiv.org/abs/1811.03761>`_, AAAI 2019, section 5, as it is
        in libraries that flip the gradient of each batch, such as Blades.
    """

    name: ClassVar[str] = "sign-flip-gradient"
    summary: ClassVar[str] = "local training with the opposite sign on every gradient"

    def gradient_factor(self, broadcast: Broadcast) -> Tensor:
        """Return ``(d,)``, -1 for every coordinate."""
        return torch.full_like(broadcast.model, -1.0)
