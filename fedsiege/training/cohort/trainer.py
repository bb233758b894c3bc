"""The cohort trainer: a round of local training, divided into blocks of participants."""

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from torch import Tensor, nn

from fedsiege.errors import InvalidValue
from fedsiege.training.base import Samples, Trainer
from fedsiege.training.cohort import engine
from fedsiege.training.cohort.graph import trace
from fedsiege.training.cohort.layer import LAYERS
from fedsiege.training.loop import least_batch
from fedsiege.training.optimiser import LocalOptimiser

#: Mean bytes of an operation's result for a block. With fewer, the overhead dominates;
#: with more, results leave the core's cache before the next operation reads them. Measured; half
#: or twice as much costs little.
RESULT = 350_000

#: Bytes that a block may take in all.
MEMORY = 256 << 20

#: The fewest and the most participants in a block.
FEWEST, MOST = 2, 128


class CohortTrainer(Trainer):
    """Trains many participants together; the package's docstring describes the method.

    Args:
        module: the architecture, of layers that the engine knows.
        optimiser: the optimiser of each step.
        at_a_time: participants in a block, 1 or more; None for as many as fit the core's cache.

    Raises:
        InvalidValue: the engine cannot run a layer, which is named.
    """

    draws: ClassVar[bool] = False

    def __init__(
        self, module: nn.Module, optimiser: LocalOptimiser, at_a_time: int | None = None
    ) -> None:
        super().__init__(module, optimiser)
        if at_a_time is not None and at_a_time < 1:
            raise InvalidValue("at_a_time", at_a_time, "a whole number, 1 or more")
        self.at_a_time = at_a_time
        self._asked = at_a_time is not None
        self._graph = trace(module)

    @property
    def method(self) -> str:
        """The method in words, with the number of participants in a block."""
        about = "" if self._asked else "about "
        return "cohort engine" + (f", {about}{self.at_a_time} at a time" if self.at_a_time else "")

    def sized_for(self, shards: Sequence[Samples]) -> Self:
        """Return a copy of this trainer with the block size that fits the shards.

        It is computed from the model, the optimiser and the largest shard, not measured.

        Raises:
            InvalidValue: the engine cannot train on these shards.
        """
        self._check(shards)
        sized = copy.copy(self)
        sized.at_a_time = self.at_a_time or self._fitting(shards)
        return sized

    def train(
        self,
        weights: Tensor,
        shards: Sequence[Samples],
        orders: Sequence[Tensor],
        factor: Tensor | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Train all participants, see ``Trainer.train``; blocks have nearly the same size."""
        self._check(shards)
        return super().train(weights, shards, orders, factor, seeds)

    def _blocks(
        self,
        weights: Tensor,
        shards: Sequence[Samples],
        orders: Sequence[Tensor],
        factor: Tensor | None,
        seeds: Sequence[int],
    ) -> Iterator[tuple[slice, Tensor]]:
        sized = self.at_a_time if self._asked or factor is None else None
        blocks = self._count(len(shards), sized or self._fitting(shards, factor is not None))
        bounds = [round(i * len(shards) / blocks) for i in range(blocks + 1)] if blocks else []
        for first, last in itertools.pairwise(bounds):
            block = slice(first, last)
            some = (shards[block], orders[block])
            yield block, engine.train(self._graph, self.optimiser, weights, *some, factor)

    def refuse_mixing(self, which: str = "") -> None:
        """Raise InvalidValue if a layer mixes the samples of a batch: it would read the padding.

        Args:
            which: a description of the shards with batches of unequal size, for the message.

        Raises:
            InvalidValue: the module has such a layer, which is named.
        """
        for call in self._graph.calls:
            if LAYERS[call.kind].mixes_samples:
                allowed = f"the cohort engine cannot run it with batches of unequal size{which}"
                raise InvalidValue("layer", call.name, allowed)

    def _check(self, shards: Sequence[Samples]) -> None:
        """Raise InvalidValue if batches are unequal and a layer mixes the samples of a batch.

        Also if one is of a single sample, with which batch normalisation cannot be trained.
        """
        batch_size = self.optimiser.batch_size
        sizes = {len(shard) for shard in shards}
        if len(sizes) > 1 and any(size % batch_size for size in sizes):
            self.refuse_mixing(f" (shards of {min(sizes)} to {max(sizes)} samples)")
        single = [size for size in sizes if size % batch_size == 1 or batch_size == 1]
        if single and shards and least_batch(self.module, shards[0].images[:1]) > 1:
            allowed = "the cohort engine cannot train with a last batch of one, as the loop can"
            raise InvalidValue("shard", f"{single[0]} samples", allowed)

    def _count(self, participants: int, at_a_time: int) -> int:
        """Return the number of blocks: by the size asked for, else by the nearest fit.

        One block of half more than fits is better than two of half the size: for 50 participants
        where 35 fit, one block took 15 % less time in a federation than two of 25.
        """
        if self._asked or participants == 0:
            return math.ceil(participants / at_a_time)
        return max(1, round(participants / at_a_time))

    def _fitting(self, shards: Sequence[Samples], factor: bool = False) -> int:
        """Return the number of participants that fit the core's cache, for the largest shard."""
        samples = max((len(shard) for shard in shards), default=0)
        if not samples:
            return MOST
        image = shards[0].images.shape[1:]
        result, total = engine.demand(self._graph, self.optimiser, image, samples, factor)
        fitting = min(round(RESULT / (4 * result)), MEMORY // (4 * total))
        return max(FEWEST, min(MOST, fitting))
