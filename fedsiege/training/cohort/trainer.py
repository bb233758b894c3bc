"""The cohort engine as a trainer: a round, block by block."""

import copy
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

from torch import Tensor, nn

from fedsiege.errors import InvalidValue
from fedsiege.training.base import Shard, Trainer
from fedsiege.training.cohort import engine
from fedsiege.training.cohort.graph import trace
from fedsiege.training.cohort.layers import RULES
from fedsiege.training.optimiser import LocalOptimiser

#: Bytes that an operation should make for a block, on average. With fewer, the time goes between
#: the operations; with more, results leave the core's cache before the next operation wants them.
#: Found by measurement, and flat: half or twice as much costs little.
RESULT = 350_000

#: Bytes that a block may take in all.
MEMORY = 256 << 20

#: The fewest and the most participants in a block.
FEWEST, MOST = 2, 128


class CohortTrainer(Trainer):
    """Trains many participants together; see the package's text for how.

    Args:
        module: the architecture, of layers that the engine has rules for.
        optimiser: how each step is made.
        at_a_time: participants in a block, 1 or more; None for as many as suit the core's cache.

    Raises:
        InvalidValue: the engine has no rule for a layer, which is named.
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
        """How, for people."""
        about = "" if self._asked else "about "
        return "cohort engine" + (f", {about}{self.at_a_time} at a time" if self.at_a_time else "")

    def sized_for(self, shards: Sequence[Shard]) -> Self:
        """Return this trainer with the block size for shards like these.

        It follows from the model, the optimiser and the largest shard, not from a measurement.

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
        shards: Sequence[Shard],
        orders: Sequence[Tensor],
        factor: Tensor | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Train all from the same weights, see Trainer; the blocks are of nearly the same size."""
        self._check(shards)
        return super().train(weights, shards, orders, factor, seeds)

    def _blocks(
        self,
        weights: Tensor,
        shards: Sequence[Shard],
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
        """Refuse layers that mix the samples of a batch, which would see padding.

        Args:
            which: what to say of the shards whose batches are of unequal size.

        Raises:
            InvalidValue: the module has such a layer, which is named.
        """
        for call in self._graph.calls:
            if RULES[call.kind].mixes_samples:
                allowed = f"the cohort engine cannot run it with batches of unequal size{which}"
                raise InvalidValue("layer", call.name, allowed)

    def _check(self, shards: Sequence[Shard]) -> None:
        """Raise InvalidValue where layers that mix the samples of a batch would see padding."""
        batch_size = self.optimiser.batch_size
        sizes = {len(shard) for shard in shards}
        if len(sizes) > 1 and any(size % batch_size for size in sizes):
            self.refuse_mixing(f" (shards of {min(sizes)} to {max(sizes)} samples)")

    def _count(self, participants: int, at_a_time: int) -> int:
        """Return how many blocks there are: as many as were asked for, or as come nearest to fit.

        Half more in a block than fits is better than two blocks of half the size: of 50 where 35
        fit, one block took 15 % less time in a federation than two of 25.
        """
        if self._asked or participants == 0:
            return math.ceil(participants / at_a_time)
        return max(1, round(participants / at_a_time))

    def _fitting(self, shards: Sequence[Shard], factor: bool = False) -> int:
        """Return how many participants suit the core's cache, going by the largest shard."""
        samples = max((len(shard) for shard in shards), default=0)
        if not samples:
            return MOST
        image = shards[0].images.shape[1:]
        result, total = engine.demand(self._graph, self.optimiser, image, samples, factor)
        fitting = min(round(RESULT / (4 * result)), MEMORY // (4 * total))
        return max(FEWEST, min(MOST, fitting))
