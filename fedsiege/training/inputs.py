"""The inputs of a participant, made when they are needed of what the data set stores.

A picture as a model takes it is four times as large as it is stored, so that a worker keeps which
samples its participants have, and makes the inputs of those that train.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedsiege.training.augmentation import vary

#: Inputs up to this many bytes are made at once; of more, those of a batch.
AT_ONCE = 32 * 2**20


class LazyInputs(abc.ABC):
    """Inputs ``(S, ..)`` that are made when they are asked for; used as a tensor of them is.

    Attributes:
        shape: ``(S, ..)``.
        dtype: float32, or int64 for tokens.
    """

    shape: torch.Size
    dtype: torch.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def is_floating_point(self) -> bool:
        """Return whether they are no tokens."""
        return self.dtype.is_floating_point

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """Return the inputs of some rows, an index of any shape in front."""
        chosen = torch.arange(len(self))[rows]
        return self.make(chosen.flatten().cpu()).view(*chosen.shape, *self.shape[1:])

    @abc.abstractmethod
    def make(self, rows: Tensor) -> Tensor:
        """Return the inputs of ``(n,)`` rows."""

    @abc.abstractmethod
    def to(self, like: Tensor) -> "LazyInputs":
        """Return them on the device of a tensor and, but for tokens, of its type."""


#: Inputs of a participant, made already or not.
Inputs: TypeAlias = Tensor | LazyInputs


class StoredInputs(LazyInputs):
    """Samples of a data set.

    Args:
        samples: all samples that the data set stores, ``(N, ..)``; not copied.
        rows: ``(S,)`` which of them.
        prepare: turns stored samples into inputs.
        device: where they are used.
    """

    def __init__(
        self,
        samples: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        prepare: Callable[[npt.NDArray[Any]], Tensor],
        device: torch.device | str = "cpu",
    ) -> None:
        self._samples, self._rows, self._prepare, self._device = samples, rows, prepare, device
        one = prepare(samples[:1])
        self.shape, self.dtype = torch.Size((len(rows), *one.shape[1:])), one.dtype

    def make(self, rows: Tensor) -> Tensor:
        """Return the inputs of some rows."""
        made = self._prepare(self._samples[self._rows[rows.numpy()]])
        return made.to(self._device, self.dtype)

    def to(self, like: Tensor) -> "StoredInputs":
        """Return them on the device of a tensor and, but for tokens, of its type."""
        there = StoredInputs(self._samples, self._rows, self._prepare, like.device)
        there.dtype = like.dtype if self.is_floating_point() else self.dtype
        return there


class VariedInputs(LazyInputs):
    """Pictures as they are varied in each epoch, one epoch after the other.

    Args:
        images: ``(S, C, H, W)``.
        moves: ``(epochs · S, 2)``, see ``augmentation.vary``.
        flips: ``(epochs · S,)``, likewise.
        black: likewise.
    """

    def __init__(
        self, images: Inputs, moves: Tensor, flips: Tensor, black: Sequence[float]
    ) -> None:
        self._images, self._moves, self._flips, self._black = images, moves, flips, black
        self.shape, self.dtype = torch.Size((len(moves), *images.shape[1:])), images.dtype

    def make(self, rows: Tensor) -> Tensor:
        """Return the pictures of some rows."""
        images = self._images[rows % max(len(self._images), 1)]
        return vary(images, self._moves[rows], self._flips[rows], self._black)

    def to(self, like: Tensor) -> "VariedInputs":
        """Return them on the device of a tensor and of its type."""
        return VariedInputs(self._images.to(like), self._moves, self._flips, self._black)


class JoinedInputs(LazyInputs):
    """The inputs of several participants, one after the other.

    Args:
        parts: the inputs of each, one or more of one shape and type.
    """

    def __init__(self, parts: Sequence[Inputs]) -> None:
        self._parts = parts
        self._ends = torch.tensor([len(part) for part in parts]).cumsum(0)
        self.shape = torch.Size((int(self._ends[-1]), *parts[0].shape[1:]))
        self.dtype = parts[0].dtype

    def make(self, rows: Tensor) -> Tensor:
        """Return the inputs of some rows."""
        owners = torch.searchsorted(self._ends, rows, right=True)
        made: Tensor | None = None
        for owner in sorted(set(owners.tolist())):
            places = torch.nonzero(owners == owner).flatten()
            part = self._parts[owner]
            some = part[rows[places] - (int(self._ends[owner]) - len(part))]
            if made is None:
                made = some.new_empty(len(rows), *some.shape[1:])
            made[places.to(made.device)] = some
        return torch.empty(0, *self.shape[1:], dtype=self.dtype) if made is None else made

    def to(self, like: Tensor) -> "JoinedInputs":
        """Return them on the device of a tensor and, but for tokens, of its type."""
        return JoinedInputs([part.to(like) for part in self._parts])


def ready(inputs: Inputs) -> Inputs:
    """Return inputs as a tensor where that is small enough, see ``AT_ONCE``; else as they are."""
    if isinstance(inputs, Tensor) or inputs.shape.numel() * inputs.dtype.itemsize > AT_ONCE:
        return inputs
    return inputs[:]


def together(parts: Sequence[Inputs]) -> Inputs:
    """Return the inputs of several participants, one after the other, made where they are few."""
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    return ready(JoinedInputs(parts))
