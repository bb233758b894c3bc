"""Where a round's updates lie until they are aggregated.

Rules that need to see all updates at once get a matrix with a row for each participant, filled in
place. Rules that are sums get a running sum, whose memory does not depend on how many take part.
"""

import abc
import asyncio
import os
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.rules import Aggregation, RoundContext, Rule, RunningSum, StreamingRule
from services.errors import Exhausted
from services.rpc.tensors import FLOAT_BYTES, Floats

#: Buffers for updates that come in several pieces and have no row of their own to be written to.
_STAGING_BUFFERS = 8
#: Sample and step counts are the participants' own words; no rule needs to tell larger ones apart.
LARGEST_COUNT = 2**31


class Collector(abc.ABC):
    """Takes checked updates."""

    @abc.abstractmethod
    def target(self, row: int) -> Floats | None:
        """Return where the row's chunks may be written as they arrive, or None for nowhere."""

    @abc.abstractmethod
    def put(self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int) -> None:
        """Take a complete update; ``update`` is the row's target or lies elsewhere."""

    @abc.abstractmethod
    def aggregate(
        self, rule: Rule, rows: NDArray[np.intp], context: RoundContext, state: object | None
    ) -> Aggregation:
        """Run the rule over the given rows, ascending.

        Args:
            rule: the rule.
            rows: which updates came in and count.
            context: of those rows, without the sample and step counts.
            state: what the rule remembers.
        """


class MatrixCollector(Collector):
    """An ``(n, d)`` float32 matrix.

    Args:
        matrix: rows by participant index; kept from round to round by the federation.
        device: where the rule runs.
    """

    def __init__(self, matrix: Floats, device: str) -> None:
        self._matrix = matrix
        self._device = device
        self._row_positions = np.arange(len(matrix))
        self._samples = np.zeros(len(matrix), np.int64)
        self._steps = np.ones(len(matrix), np.int64)

    def target(self, row: int) -> Floats:
        """Return the row itself."""
        view: Floats = self._matrix[row]
        return view

    def put(self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int) -> None:
        """Copy the update to its row, unless it was written there."""
        self._samples[row] = min(num_samples, LARGEST_COUNT)
        self._steps[row] = min(num_steps, LARGEST_COUNT)
        if update.base is not self._matrix:
            self._matrix[row] = update

    def aggregate(
        self, rule: Rule, rows: NDArray[np.intp], context: RoundContext, state: object | None
    ) -> Aggregation:
        """Run the rule over the matrix of these rows."""
        updates, known = self.gather(rows, context)
        return rule(updates, context=known, state=state)

    def gather(self, rows: NDArray[np.intp], context: RoundContext) -> tuple[Tensor, RoundContext]:
        """Return the matrix of some rows, ascending, and the context with their counts.

        The gaps between them are closed in place: what lies between is lost, so that a later call
        can ask for some of these rows only.
        """
        for place, lies in enumerate(np.searchsorted(self._row_positions, rows)):
            if place != lies:
                self._matrix[place] = self._matrix[lies]
        self._row_positions = rows
        updates = torch.from_numpy(self._matrix[: len(rows)]).to(self._device)
        known = replace(
            context,
            weights=torch.from_numpy(self._samples[rows]).to(self._device),
            steps=torch.from_numpy(self._steps[rows]).to(self._device),
        )
        return updates, known


class SumCollector(Collector):
    """A running sum, exact and so the same in whatever order the updates come."""

    def __init__(self, total: RunningSum, rule: StreamingRule) -> None:
        self._total = total
        self._rule = rule
        self._counts: list[int] = []
        total.reset()

    def target(self, row: int) -> None:
        """Return None: nothing may be added to a sum that is not complete and checked."""
        return

    def put(self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int) -> None:
        """Add the update."""
        weight = self._rule.weight_of(norm, num_samples)
        # No value of the update is larger than its norm.
        self._total.add(update, weight, self._rule.mass_of(norm, num_samples), bound=norm)
        self._counts.append(num_samples)

    def aggregate(
        self, rule: Rule, rows: NDArray[np.intp], context: RoundContext, state: object | None
    ) -> Aggregation:
        """Divide by what was added."""
        if len(rows) == 0:
            raise UnfitRound("no update came in")
        rule.check(len(rows))
        everyone = torch.ones(len(rows), dtype=torch.bool)
        return Aggregation(
            self._total.mean(), everyone, remarks=self._rule.remarks_on(self._counts)
        )


class Staging:
    """Buffers for updates that arrive in pieces for a sum, to which only whole ones can be added.

    They are few, so that memory does not grow with the number of senders: where all are lent, the
    next sender is kept waiting by flow control.

    Args:
        size: how many parameters the model has.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[Floats] = []
        self._room = asyncio.Semaphore(_STAGING_BUFFERS)

    async def borrow(self) -> Floats:
        """Return a buffer, ``(d,)``; wait until one is free."""
        await self._room.acquire()
        return self._free.pop() if self._free else np.empty(self._size, np.float32)

    def give_back(self, buffer: Floats) -> None:
        """Make a buffer free again."""
        self._free.append(buffer)
        self._room.release()


def new_matrix(participants: int, size: int) -> Floats:
    """Allocate the matrix of a round.

    Raises:
        Exhausted: it would take more than three quarters of the machine's memory.
    """
    needed = participants * size * FLOAT_BYTES
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    if needed > available:
        raise Exhausted(
            "ROUND_TOO_LARGE",
            f"{participants} updates of {size} parameters need {needed >> 20} MiB; this aggregator "
            f"gives a round {available >> 20} MiB",
        )
    return np.empty((participants, size), np.float32)
