"""Weak differential privacy: clipping and a little noise on the aggregate."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import clipped_mean, median_of
from fedsiege.rules.base import Aggregation, Rule, registry, with_noise
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class WeakDp(Rule):
    """``mean_i g_i min(1, C / ||g_i||) + N(0, noise^2)``: norm clipping, then noise on the mean.

    The noise is added once, to the aggregate, not to each update: too little of it for a guarantee
    of privacy, enough to blur a backdoor. It is drawn from the run's seed and the round.

    Sun et al., *Can You Really Backdoor Federated Learning?*, 2019, arXiv 1911.07963, section 4:
    clipping, then noise. Its standard deviation there is 0.025 [from memory]. In the code of
    Wang et al., NeurIPS 2020 (ksreenivasan/OOD_Federated_Learning), it is added once to the mean of
    the models, 0.158 by default and 0.025 in the example for CIFAR-10, where updates are clipped
    to 2. Here it is added once to the mean of the updates, which comes to the same, but with a
    default of 0.001: noise has the length ``noise sqrt(d)``, for LeNet-5 0.21 where 0.025 would
    give 5.3. Other public code adds noise to each update, of which ``1 / sqrt(n)`` is left in the
    mean.
    """

    name: ClassVar[str] = "weak-dp"
    summary: ClassVar[str] = "mean of clipped updates with a little noise"

    bound: Annotated[
        float | None,
        Gt(0),
        "largest L2 norm that counts in full; None for the median norm of the round",
    ] = None
    noise: Annotated[
        float, Ge(0), "standard deviation of the noise on each coordinate of the mean"
    ] = 0.001

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts. The context gives seed and round of the noise."""
        norms = row_norms(updates)
        accepted = torch.ones(len(updates), dtype=torch.bool)
        bound = median_of(norms) if self.bound is None else self.bound
        mean = clipped_mean(updates, accepted, norms, bound)
        return Aggregation(with_noise(mean, self.noise, "weak-dp noise", context), accepted)
