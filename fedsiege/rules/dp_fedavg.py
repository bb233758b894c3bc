"""Central differential privacy: clipping and calibrated noise on the aggregate."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import clipped_mean
from fedsiege.privacy.gaussian import Release
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.noise import with_noise


@registry.register
@dataclass(frozen=True)
class DpFedAvg(Rule):
    r"""The mean of clipped updates over a fixed number, with noise that has a privacy budget.

    .. math::
        \frac{1}{N} \left( \sum_{i=1}^n g_i \min\left( 1, \frac{C}{\lVert g_i \rVert} \right)
        + \mathcal{N}(0, (z C)^2 I) \right)

    where C is the parameter ``clip``, z the parameter ``noise`` and N the parameter
    ``participants``: the number of updates that is expected, not that which came, so that one
    update more or less changes nothing but its own term. Without it, N is the number that closes a
    round. All values are clipped as one vector and get noise, running statistics too.

    If one participant's data are replaced, the sum moves by 2 C at most. Each round is thus a
    Gaussian mechanism of multiplier :math:`z / 2`; the column ``epsilon`` of ``history.csv`` is its
    composition, with the sampling of ``participation`` counted. (The paper's adjacency is that of
    adding or leaving out a participant, of multiplier z, with samples of random size.) The
    guarantee is against those who see the models and trust the server. There is none behind a
    pre-aggregator or with an audit, since these look at updates that are not clipped.

    Clipping and noise blunt attacks as in ``weak-dp``, which has no accounting and adds far less
    noise. Every row counts; there is no condition on n. Cost: :math:`O(n d)`.

    Source:
        H. Brendan McMahan, Daniel Ramage, Kunal Talwar, Li Zhang. `Learning Differentially Private
        Recurrent Language Models <https://arxiv.org/abs/1710.06963>`_. ICLR 2018, algorithm 1 with
        the fixed denominator of section 3 and flat clipping.
    """

    name: ClassVar[str] = "dp-fedavg"
    summary: ClassVar[str] = "mean of clipped updates with the noise of a privacy budget"

    clip: Annotated[float, Gt(0), "largest L2 norm that counts in full"] = 1.0
    noise: Annotated[
        float, Ge(0), "standard deviation of the noise on the sum over clip; 0 for none"
    ] = 1.0
    delta: Annotated[float, Ge(1e-300), Lt(1), "what the privacy budget is stated for"] = 1e-5
    participants: Annotated[
        int | None, Ge(1), "what the sum is divided by; None for the updates that close a round"
    ] = None

    @property
    def release(self) -> Release | None:
        """What an aggregate gives away; None without noise, or where N is what came."""
        if not self.noise or self.participants is None:
            return None
        return Release(self.noise / 2, self.delta)

    def for_participants(self, n: int) -> Self:
        """Return this rule with ``participants`` resolved for n updates."""
        self.check(n)
        return self if self.participants else replace(self, participants=n)

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts. The context gives seed and round of the noise."""
        n = len(updates)
        expected = self.participants or n
        everyone = torch.ones(n, dtype=torch.bool)
        mean = clipped_mean(updates, everyone, row_norms(updates), self.clip)
        scale = n / expected
        update = mean if scale == 1 else mean * scale
        deviation = self.noise * self.clip / expected
        return Aggregation(with_noise(update, deviation, "dp-fedavg noise", context), everyone)
