"""Shares as the samples belong together by nature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.partitions.base import PURPOSE, Indices, Labels, Partition, check_counts, registry


@registry.register
@dataclass(frozen=True)
class Natural(Partition):
    r"""Give each participant the samples of some natural groups, such as the lines of a speaker.

    .. math::

        D_i = \bigcup_{k \ge 0} G_{\pi(i + k n)}

    :math:`G` are the groups of the data set, shuffled by :math:`\pi` and dealt in turn to the
    :math:`n` participants: one each where there are as many of both. With ``samples`` a participant
    has so many of its samples at most, drawn at random, and fewer where its groups have fewer. No
    group is cut. More participants than groups are refused, and so are data sets without groups.

    Source:
        Sebastian Caldas et al., `LEAF: A Benchmark for Federated Settings
        <https://arxiv.org/abs/1812.01097>`_, 2018: the speakers of Shakespeare's plays.
    """

    name = "natural"
    summary = "the samples of natural groups, such as speakers, kept together"

    def check(
        self, labels: Labels, participants: int, samples: int, groups: Labels | None = None
    ) -> None:
        """Refuse data sets without groups, and more participants than groups."""
        check_counts(labels, participants, samples)
        if groups is None:
            allowed = "for data sets that say to whom each sample belongs; this one does not"
            raise InvalidValue("partition", self.name, allowed)
        there = len(np.unique(groups))
        if participants > there:
            allowed = f"at most {there}, the natural groups of the data set"
            raise InvalidValue("participants", participants, allowed)

    def assign(
        self,
        labels: Labels,
        participants: int,
        samples: int,
        seed: int,
        groups: Labels | None = None,
    ) -> Sequence[Indices]:
        """Share out the samples."""
        self.check(labels, participants, samples, groups)
        assert groups is not None
        rng = seeding.generator(seed, PURPOSE)
        order = np.argsort(groups, kind="stable")
        bounds = np.flatnonzero(np.diff(groups[order])) + 1
        piles = np.split(order, bounds)
        turns = rng.permutation(len(piles))
        shares = (
            np.concatenate([piles[one] for one in turns[first::participants]])
            for first in range(participants)
        )
        return [rng.permutation(share)[: samples or None] for share in shares]
