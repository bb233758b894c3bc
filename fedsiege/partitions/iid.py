"""Disjoint random shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedsiege import seeding
from fedsiege.partitions.base import PURPOSE, Indices, Labels, Partition, check_enough, registry


@registry.register
@dataclass(frozen=True)
class Iid(Partition):
    r"""Deal disjoint random shares of equal size.

    .. math::

        D_i = \{ \pi(i S + 1), \ldots, \pi(i S + S) \}, \qquad i = 0, 1, \ldots

    :math:`\pi` is a random permutation of the training set, the same for all participants
    :math:`i`, and :math:`S` is ``samples``. With ``samples=0`` all samples are dealt, and shares
    differ by one at most.

    Source:
        H. Brendan McMahan, Eider Moore, Daniel Ramage, Seth Hampson and Blaise Agüera y Arcas,
        `Communication-Efficient Learning of Deep Networks from Decentralized Data
        <https://arxiv.org/abs/1602.05629>`_, AISTATS 2017, section 3, "IID".
    """

    name = "iid"
    summary = "disjoint random shares of equal size"

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
        order = seeding.generator(seed, PURPOSE).permutation(len(labels))
        dealt = order[: participants * samples] if samples else order
        return np.array_split(dealt, participants)
