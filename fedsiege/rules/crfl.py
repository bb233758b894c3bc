"""CRFL: the global model itself is clipped and perturbed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import Aggregation, Rule, registry, with_noise
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class Crfl(Rule):
    """The mean, after which the *global model* is clipped to a norm and perturbed.

    ``w_{t+1} = clip(w_t + mean_i g_i, bound) + N(0, noise^2)`` with ``clip(w, rho) = w min(1, rho /
    ||w||)``; the update returned is ``w_{t+1} - w_t``. The noise has the length ``noise sqrt(d)``.
    The rule bounds where the model can be, not what an update can do within that: one huge update
    still chooses the direction.

    Xie et al., *CRFL: Certifiably Robust Federated Learning against Backdoor Attacks*, ICML 2021,
    algorithm 1. The defaults are the authors' for MNIST (AI-secure/CRFL). Their code also raises
    rho from 2 by 0.1 a round until the bound is reached, and leaves the last model unperturbed.
    """

    name: ClassVar[str] = "crfl"
    summary: ClassVar[str] = "mean; then the global model is clipped to a norm and noise is added"

    bound: Annotated[float, Gt(0), "largest L2 norm of the global model"] = 15.0
    noise: Annotated[float, Ge(0), "standard deviation of the noise on each weight"] = 0.01

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts. It needs the global model."""
        n, before = len(updates), context.model_for(self.name, updates)
        moved = before.double() + weighted_mean(updates, torch.ones(n))
        clipped = moved * (self.bound / moved.norm().clamp(min=self.bound))
        update = with_noise((clipped - before).float(), self.noise, "crfl noise", context)
        return Aggregation(update, torch.ones(n, dtype=torch.bool))
