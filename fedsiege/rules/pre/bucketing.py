"""Bucketing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege import seeding
from fedsiege.numerics.threads import even_blocks, row_blocks, share
from fedsiege.rules.context import RoundContext
from fedsiege.rules.pre.base import Mixed, PreAggregator, registry

#: Numbers of the means that are written at a time: 1 MiB, so that they are still in the cache.
_CACHED = 2**18
#: Numbers of the updates that are copied at a time, and columns at least.
_COPIED, _LEAST_WIDTH = 2**19, 256


@registry.register
@dataclass(frozen=True)
class Bucketing(PreAggregator):
    r"""The means of random buckets of s updates.

    .. math::
        h_b = \frac{1}{|B_b|} \sum_{i \in B_b} g_i, \qquad b = 1, \ldots, \lceil n / s \rceil

    where the buckets :math:`B_b` are the updates in random order, s at a time; the last bucket
    holds the few that are left over. The rule behind it gets the rows :math:`h_b`.

    Honest buckets differ less than honest updates do, so that rules built on distances work where
    participants hold different data. Each hostile participant affects one bucket at most, so f
    stays what it is, while n becomes :math:`\lceil n / s \rceil`: the rule must tolerate a larger
    share. The paper finds s = 2 to be enough.

    Participants are shuffled by the seed of the run and the round. Reported counts belong to no
    bucket: a rule that needs them, or that remembers participants, cannot stand behind bucketing.
    There is no condition on n. Cost: :math:`O(n d)`.

    Source:
        Sai Praneeth Karimireddy, Lie He, Martin Jaggi. `Byzantine-Robust Learning on Heterogeneous
        Datasets via Bucketing <https://arxiv.org/abs/2006.09365>`_. ICLR 2022, algorithm 1.
    """

    name: ClassVar[str] = "bucketing"
    summary: ClassVar[str] = "averages the updates in random buckets of s"
    keeps_participants: ClassVar[bool] = False

    s: Annotated[int, Ge(1), "number of updates in a bucket"] = 2

    def rows_of(self, n: int) -> int:
        """Return the number of buckets."""
        return -(-n // self.s)

    def transform(self, updates: Tensor, context: RoundContext) -> Mixed:
        """Average buckets, which depend on identities, round and seed, not on positions."""
        n = len(updates)
        random = seeding.generator(context.seed, self.name, context.round_number)
        by_identity = context.identities(n).argsort(stable=True)
        order = by_identity[torch.from_numpy(random.permutation(n))]
        place = torch.empty(n, dtype=torch.int64)
        place[order] = torch.arange(n) // self.s
        members = torch.zeros(self.rows_of(n), n, dtype=torch.bool)
        members[place, torch.arange(n)] = True
        return Buckets(updates, members, place, order, self.s)


@dataclass(frozen=True)
class Buckets(Mixed):
    """The means of buckets.

    Attributes:
        order: ``(n,)`` int64 on the CPU, the updates of the first bucket, then those of the next.
        size: how many are in a bucket; in the last there may be fewer.
    """

    order: Tensor
    size: int

    def write(self, updates: Tensor, rows: Tensor) -> None:
        """Add a share of each: the sum of large ones could be infinite."""
        order = self.order.to(updates.device)
        starts = torch.arange(0, len(order), self.size, device=updates.device)
        sizes = torch.full((len(starts),), self.size, device=updates.device)
        sizes[-1] = len(order) - starts[-1]
        shares = (1 / sizes.double()).float().repeat_interleave(sizes)

        def means(given: Tensor, some: slice) -> Tensor:
            # One pass over the members of each bucket: torch has it for the vectors of words.
            of = slice(some.start * self.size, some.stop * self.size)
            begin = starts[: some.stop - some.start]
            of_words: Tensor = torch.embedding_bag(
                given, order[of], begin, False, 0, False, shares[of]
            )[0]
            return of_words

        def of_rows(blocks: Iterator[slice]) -> None:
            for some in blocks:
                rows[some] = means(updates, some)

        def of_columns(blocks: Iterator[slice]) -> None:
            for columns in blocks:
                given = updates[:, columns].float().contiguous()
                rows[:, columns] = means(given, slice(0, len(rows)))

        if updates.dtype == torch.float32 and updates.is_contiguous():
            share(of_rows, row_blocks(rows, _CACHED))
        else:  # it would copy all
            n, d = updates.shape
            share(of_columns, even_blocks(d, max(_LEAST_WIDTH, _COPIED // n)))
