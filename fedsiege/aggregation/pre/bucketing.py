"""Bucketing."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege import seeding
from fedsiege.aggregation.base import require_whole_number
from fedsiege.aggregation.context import RoundContext
from fedsiege.aggregation.pre.base import Mixed, PreAggregator, catalogue


@catalogue.register
@dataclass(frozen=True)
class Bucketing(PreAggregator):
    """The means of random buckets of s updates; the last bucket takes the few that are left over.

    Honest buckets differ less than honest updates do, so that rules built on distances work where
    participants hold different data. Each hostile participant spoils one bucket at most, so f stays
    what it is, while n becomes ``ceil(n / s)``: the rule must tolerate a larger share.

    Participants are shuffled by the seed of the run and the round. Counts that they report belong
    to no bucket: a rule that needs them cannot stand behind bucketing.

    Karimireddy, He, Jaggi, *Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing*,
    ICLR 2022, algorithm 1.

    Args:
        s: how many updates a bucket holds, 1 or more; the paper finds 2 to be enough.
    """

    name: ClassVar[str] = "bucketing"
    summary: ClassVar[str] = "averages random buckets of s updates"
    keeps_participants: ClassVar[bool] = False

    s: int = 2

    def __post_init__(self) -> None:
        require_whole_number(f"{self.name}:s", self.s, least=1)

    def rows_of(self, n: int) -> int:
        """Return the number of buckets."""
        return -(-n // self.s)

    def transform(self, updates: Tensor, context: RoundContext) -> Mixed:
        """Do it; who shares a bucket depends on identities, round and seed, not on positions."""
        n = len(updates)
        random = seeding.generator(context.seed, self.name, context.round_number)
        by_identity = context.identities(n).argsort(stable=True)
        order = by_identity[torch.from_numpy(random.permutation(n))]
        place = torch.empty(n, dtype=torch.int64)
        place[order] = torch.arange(n) // self.s
        members = place == torch.arange(self.rows_of(n))[:, None]
        return Buckets(
            updates, members, place, [bucket.tolist() for bucket in torch.split(order, self.s)]
        )


@dataclass(frozen=True)
class Buckets(Mixed):
    """The means of buckets.

    Attributes:
        buckets: of each row, which updates are in it.
    """

    buckets: list[list[int]]

    def write(self, updates: Tensor, rows: Tensor) -> None:
        """Add a share of each."""
        every = updates.unbind()
        for row, (first, *others) in zip(rows, self.buckets, strict=True):
            share = 1 / (1 + len(others))  # of each: the sum of large ones could be infinite
            torch.mul(every[first].float(), share, out=row)
            for other in others:
                row.add_(every[other], alpha=share)
