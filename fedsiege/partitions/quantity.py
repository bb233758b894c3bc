"""Disjoint random shares of unequal size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from fedsiege import seeding
from fedsiege.partitions.base import PURPOSE, Indices, Labels, Partition, check_enough, registry


@registry.register
@dataclass(frozen=True)
class Quantity(Partition):
    r"""Deal disjoint random shares whose sizes differ; the smaller alpha, the more.

    .. math::

        q \sim \operatorname{Dir}(\alpha, \ldots, \alpha) \text{ over the participants}, \qquad
        \lvert D_i \rvert \approx 1 + q_i (M - n)

    for :math:`n` participants and :math:`M` samples dealt in all: those of the whole set with
    ``samples=0``, else ``samples`` times the participants, so that ``samples`` is the mean. Each
    participant has one sample at least. Labels are as in ``iid``.

    Source:
        Qinbin Li, Yiqun Diao, Quan Chen and Bingsheng He, `Federated Learning on Non-IID Data
        Silos: An Experimental Study <https://arxiv.org/abs/2102.02079>`_, ICDE 2022, section 4.3,
        "quantity skew".
    """

    name = "quantity"
    summary = "disjoint random shares of sizes from Dir(ALPHA, .., ALPHA)"

    positional = "alpha"

    alpha: Annotated[
        float, Ge(1e-3), Le(1e6), "concentration: 0.1 is very unequal, 100 nearly equal"
    ] = 0.5

    def assign(
        self,
        labels: Labels,
        participants: int,
        samples: int,
        seed: int,
        groups: Labels | None = None,
    ) -> Sequence[Indices]:
        """Share out the samples."""
        check_enough(labels, participants, samples)
        rng = seeding.generator(seed, PURPOSE)
        dealt = rng.permutation(len(labels))[: participants * samples or None]
        shares = np.cumsum(rng.dirichlet(np.full(participants, self.alpha)))[:-1]
        # Cuts of what is left after one for each, and these ones added back.
        cuts = np.rint(shares * (len(dealt) - participants)).astype(np.int64)
        return np.split(dealt, cuts + np.arange(1, participants))
