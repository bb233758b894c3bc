"""Collectors: the memory in which a round's updates are held until they are aggregated.

Rules that need all updates at once get a matrix with a row for each participant. Rules that are
weighted means get a running sum, whose memory does not depend on the number of participants.
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
from fedsiege.services.errors import Exhausted
from fedsiege.services.rpc.tensors import FLOAT_BYTES, Floats

#: Number of buffers for updates in several pieces that have no row to be written to.
_STAGING_BUFFERS = 8
#: Participants report any sample and step counts; larger ones are lowered to this value.
LARGEST_COUNT = 2**31


class Collector(abc.ABC):
    """Holds the checked updates of one round."""

    @abc.abstractmethod
    def target(self, row: int) -> Floats | None:
        """Return the array, ``(d,)``, to write a row's chunks to on arrival; None for none."""

    @abc.abstractmethod
    def put(self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int) -> None:
        """Store a complete update.

        Args:
            row: the participant's row.
            update: ``(d,)`` the values: the row's target, or any other array.
            norm: their L2 norm.
            num_samples: the reported number of samples.
            num_steps: the reported number of local steps.
        """

    @abc.abstractmethod
    def aggregate(
        self, rule: Rule, rows: NDArray[np.intp], context: RoundContext, state: object | None
    ) -> Aggregation:
        """Aggregate the updates of some rows.

        Args:
            rule: the rule.
            rows: the rows to aggregate, ascending; each has an update.
            context: the context of those rows, without sample and step counts.
            state: the state of the rule after the round before.

        Raises:
            UnfitRound: the rule cannot aggregate these updates.
        """


class MatrixCollector(Collector):
    """Holds updates in an ``(n, d)`` float32 matrix.

    Args:
        matrix: the matrix, with a row for each participant by index; reused from round to round.
        device: the torch device of the rule.
    """

    def __init__(self, matrix: Floats, device: str) -> None:
        self._matrix = matrix
        self._device = device
        #: The rows that the first lines of the matrix hold, ascending.
        self._gathered = np.arange(len(matrix))
        self._samples = np.zeros(len(matrix), np.int64)
        self._steps = np.ones(len(matrix), np.int64)

    def target(self, row: int) -> Floats:
        """Return the row of the matrix."""
        view: Floats = self._matrix[row]
        return view

    def put(self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int) -> None:
        """Copy the update to its row, unless it was written there on arrival."""
        self._samples[row] = min(num_samples, LARGEST_COUNT)
        self._steps[row] = min(num_steps, LARGEST_COUNT)
        if update.base is not self._matrix:
            self._matrix[row] = update

    def aggregate(
        self, rule: Rule, rows: NDArray[np.intp], context: RoundContext, state: object | None
    ) -> Aggregation:
        """Apply the rule to the matrix of these rows."""
        updates, known = self.gather(rows, context)
        return rule(updates, context=known, state=state)

    def gather(self, rows: NDArray[np.intp], context: RoundContext) -> tuple[Tensor, RoundContext]:
        """Return the matrix of some rows, and the context with their sample and step counts.

        The rows are moved together in place, which overwrites the others: a later call can only
        ask for a subset. It moves nothing if it asks for the same rows.

        Args:
            rows: the rows, ascending.
            context: the context of those rows, without sample and step counts.
        """
        positions = np.searchsorted(self._gathered, rows)
        for place in np.flatnonzero(positions != np.arange(len(rows))):
            self._matrix[place] = self._matrix[positions[place]]
        self._gathered = rows
        updates = torch.from_numpy(self._matrix[: len(rows)]).to(self._device)
        known = replace(
            context,
            weights=torch.from_numpy(self._samples[rows]).to(self._device),
            steps=torch.from_numpy(self._steps[rows]).to(self._device),
        )
        return updates, known


class SumCollector(Collector):
    """Adds updates to an exact running sum, whose result does not depend on the order of arrival.

    Args:
        total: the sum; set to 0 here.
        rule: the rule that weights the updates.
    """

    def __init__(self, total: RunningSum, rule: StreamingRule) -> None:
        self._total = total
        self._rule = rule
        self._counts: list[int] = []
        total.reset()

    def target(self, row: int) -> None:
        """Return None: only complete and checked updates may be added to a sum."""
        return

    def put(self, row: int, update: Floats, norm: float, num_samples: int, num_steps: int) -> None:
        """Add the weighted update to the sum."""
        weight = self._rule.weight_of(norm, num_samples)
        # No value of an update is larger than its norm.
        self._total.add(update, weight, self._rule.mass_of(norm, num_samples), bound=norm)
        self._counts.append(num_samples)

    def aggregate(
        self, rule: Rule, rows: NDArray[np.intp], context: RoundContext, state: object | None
    ) -> Aggregation:
        """Return the weighted mean of the updates."""
        if len(rows) == 0:
            raise UnfitRound("no update came in")
        rule.check(len(rows))
        accepted = torch.ones(len(rows), dtype=torch.bool)
        return Aggregation(
            self._total.mean(), accepted, remarks=self._rule.remarks_on(self._counts)
        )


class Staging:
    """A pool of buffers for updates that arrive in several pieces and are added to a sum.

    Their number is fixed, so that memory does not grow with the number of senders: while all are
    in use, flow control delays the next sender.

    Args:
        size: the number of parameters of the model.
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
        """Return a buffer to the pool."""
        self._free.append(buffer)
        self._room.release()


def new_matrix(participants: int, size: int) -> Floats:
    """Allocate the matrix of a round, ``(participants, size)`` float32.

    Raises:
        Exhausted: the matrix would need more than three quarters of the machine's memory.
    """
    needed = participants * size * FLOAT_BYTES
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    if needed > available:
        raise Exhausted(
            "ROUND_TOO_LARGE",
            f"{participants} updates of {size} parameters need {needed >> 20} MiB; a round of this "
            f"aggregator may use {available >> 20} MiB",
        )
    return np.empty((participants, size), np.float32)
