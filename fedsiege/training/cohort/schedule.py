"""The schedule of a block: which participant trains on which samples at which step."""

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """The steps of a block of participants.

    Participants are sorted by the length of their training, longest first, so that those that make
    a step are always the first ones. Batches are padded to B samples with samples of weight 0.
    Within a batch the samples are in the order of the shard: the mean is the same, and a shard of
    one batch gives the same batch in every epoch.

    Attributes:
        participants: the positions of the participants, longest training first.
        lengths: the number of steps of each of them.
        samples: ``(T, B, P)`` int64, into the samples of all shards, one shard after the other.
        shares: ``(T, P, B)`` the weight of each sample in the mean of its batch; 0 for padding.
    """

    participants: list[int]
    lengths: list[int]
    samples: Tensor
    shares: Tensor

    @classmethod
    def of(
        cls, sizes: Sequence[int], orders: Sequence[Tensor], batch_size: int, varied: bool = False
    ) -> "Schedule":
        """Return the schedule of a training.

        Args:
            sizes: the samples of each participant.
            orders: ``(epochs, size)`` of each; the number of epochs may differ.
            batch_size: the samples of a full batch.
            varied: whether a shard has the samples of each epoch, one epoch's after the other's.
        """
        batch = min(batch_size, max(sizes))
        steps = [
            len(order) * math.ceil(size / batch_size)
            for size, order in zip(sizes, orders, strict=True)
        ]
        participants = sorted(range(len(sizes)), key=lambda p: -steps[p])
        lasting = [
            size * len(order) if varied else size for size, order in zip(sizes, orders, strict=True)
        ]
        firsts = torch.tensor([0, *itertools.accumulate(lasting)])
        samples = torch.zeros(len(sizes), max(steps), batch, dtype=torch.int64)
        shares = torch.zeros(samples.shape, dtype=torch.float64)
        shapes = [(size, len(order)) for size, order in zip(sizes, orders, strict=True)]
        for size, epochs in set(shapes):
            if not size:
                continue
            rows = [row for row, p in enumerate(participants) if shapes[p] == (size, epochs)]
            members = [participants[row] for row in rows]
            order = torch.stack([orders[p] for p in members]).cpu()
            filled = F.pad(order, (0, -size % batch), value=size)  # sorts behind the samples
            batches = filled.view(len(rows), -1, batch).sort(2).values
            real = batches < size
            index = batches.where(real, 0) + firsts[members][:, None, None]
            if varied:
                each = torch.arange(epochs).repeat_interleave(math.ceil(size / batch))
                index += size * each[None, :, None]
            samples[rows, : index.shape[1]] = index
            shares[rows, : index.shape[1]] = real.double() / real.sum(2, keepdim=True)
        return cls(
            participants=participants,
            lengths=[steps[p] for p in participants],
            samples=samples.permute(1, 2, 0).contiguous(),
            shares=shares.permute(1, 0, 2).contiguous(),
        )

    @property
    def batch(self) -> int:
        """The most samples in a batch, B."""
        return self.samples.shape[1]

    @functools.cached_property
    def extents(self) -> list[tuple[int, int]]:
        """For each step, the number of participants that make it and their largest batch."""
        filled = (self.shares > 0).any(1).sum(1).tolist()
        return [
            (sum(length > step for length in self.lengths), width)
            for step, width in enumerate(filled)
        ]

    def repeats(self, step: int) -> bool:
        """Return whether a step has the same samples and participants as the step before."""
        return step > 0 and self._same[step - 1]

    @functools.cached_property
    def _same(self) -> list[bool]:
        equal = (self.samples[1:] == self.samples[:-1]).flatten(1).all(1).tolist()
        return [
            e and a == b for e, a, b in zip(equal, self.extents[:-1], self.extents[1:], strict=True)
        ]
