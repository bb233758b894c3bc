"""CRFL: the global model itself is clipped and perturbed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.noise import with_noise


@registry.register
@dataclass(frozen=True)
class Crfl(Rule):
    r"""The mean, after which the *global model* is clipped to a norm and perturbed.

    .. math::
        w_{t+1} = \mathrm{clip}_\rho\Big( w_t + \frac{1}{n} \sum_{i=1}^n g_i \Big)
        + \mathcal{N}(0, \sigma^2 I), \qquad
        \mathrm{clip}_\rho(w) = w \min\left( 1, \frac{\rho}{\lVert w \rVert} \right)

    where :math:`w_t` is the global model, :math:`\rho` the parameter ``bound`` and :math:`\sigma`
    the parameter ``noise``. The result is the update :math:`w_{t+1} - w_t`. The noise has a length
    of about :math:`\sigma \sqrt{d}`; it is drawn from the run's seed and the round.

    The rule bounds where the model can be, not what an update can do within that: one huge update
    still chooses the direction. It needs the global model. Cost: :math:`O(n d)`.

    The defaults are the authors' for MNIST. Their code also raises :math:`\rho` from 2 by 0.1 a
    round until the bound is reached, and leaves the last model unperturbed; this rule does neither.

    Source:
        Chulin Xie, Minghao Chen, Pin-Yu Chen, Bo Li. `CRFL: Certifiably Robust Federated Learning
        against Backdoor Attacks <https://arxiv.org/abs/2106.08283>`_. ICML 2021, algorithm 1. Code:
        `AI-secure/CRFL <https://github.com/AI-secure/CRFL>`_.
    """

    name: ClassVar[str] = "crfl"
    summary: ClassVar[str] = "mean; then the global model is clipped to a norm and noise is added"
    needs: ClassVar[tuple[str, ...]] = ("model",)

    bound: Annotated[float, Gt(0), "largest L2 norm of the global model"] = 15.0
    noise: Annotated[float, Ge(0), "standard deviation of the noise on each weight"] = 0.01

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts. It needs the global model."""
        n, before = len(updates), context.model_for(self.name, updates)
        moved = before.double() + weighted_mean(updates, torch.ones(n))
        clipped = moved * (self.bound / moved.norm().clamp(min=self.bound))
        update = with_noise((clipped - before).float(), self.noise, "crfl noise", context)
        return Aggregation(update, torch.ones(n, dtype=torch.bool))
