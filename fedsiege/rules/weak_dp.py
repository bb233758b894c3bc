"""Weak differential privacy: clipping and a little noise on the aggregate."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import clipped_mean, median_of
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.noise import with_noise


@registry.register
@dataclass(frozen=True)
class WeakDp(Rule):
    r"""The mean of the updates, each clipped to a norm, with a little noise on the mean.

    .. math::
        \frac{1}{n} \sum_{i=1}^n g_i \min\left( 1, \frac{C}{\lVert g_i \rVert} \right)
        + \mathcal{N}(0, \sigma^2 I)

    where C is the parameter ``bound``, or without it the median norm of the round, and
    :math:`\sigma` is the parameter ``noise``. The noise is added once, to the aggregate, not to
    each update: too little of it for a guarantee of privacy, enough to blur a backdoor. It is drawn
    from the run's seed and the round. There is no condition on n. Cost: :math:`O(n d)`.

    The standard deviation in the paper is 0.025, from memory. In the code of `Attack of the Tails:
    Yes, You Really Can Backdoor Federated Learning <https://arxiv.org/abs/2007.05084>`_ (Wang et
    al., NeurIPS 2020; `ksreenivasan/OOD_Federated_Learning
    <https://github.com/ksreenivasan/OOD_Federated_Learning>`_), it is added once to the mean of the
    models, 0.158 by default and 0.025 in the example for CIFAR-10, where updates are clipped to 2.
    Here it is added once to the mean of the updates, which comes to the same, but with a default of
    0.001: noise has a length of about :math:`\sigma \sqrt{d}`, for LeNet-5 0.21 where 0.025 would
    give 5.3. Other public code adds noise to each update, of which :math:`1 / \sqrt{n}` is left in
    the mean.

    Source:
        Ziteng Sun, Peter Kairouz, Ananda Theertha Suresh, H. Brendan McMahan. `Can You Really
        Backdoor Federated Learning? <https://arxiv.org/abs/1911.07963>`_ 2019, section 4: clipping,
        then noise.
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
