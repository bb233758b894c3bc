"""The variation of pictures in local training: crops and mirror images, drawn for each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from fedsiege import seeding
from fedsiege.errors import InvalidValue

#: What there is, by name; a text has some of them with slashes between.
KINDS = ("crop", "flip")
#: The part of the shorter side by which a crop may be moved: 4 of the 32 pixels of CIFAR-10.
_MOVED = 8


@dataclass(frozen=True)
class Augmentation:
    """How pictures are varied.

    Attributes:
        crop: whether each is moved by up to an eighth of its shorter side, up or down and left or
            right; black enters at the edges.
        flip: whether each is mirrored, left to right, with probability 1/2.
    """

    crop: bool = False
    flip: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it from text: ``crop``, ``flip``, ``crop/flip``, or nothing.

        Raises:
            InvalidValue: it names another kind.
        """
        names = text.split("/") if text else []
        if not set(names) <= set(KINDS):
            raise InvalidValue("augment", text, "crop, flip, crop/flip, or empty")
        return cls(**dict.fromkeys(names, True))

    def __bool__(self) -> bool:
        return self.crop or self.flip

    def draw(
        self, seed: int, round_number: int, participant: int, shape: Sequence[int], epochs: int
    ) -> tuple[Tensor, Tensor]:
        """Draw how the pictures of a participant are varied in a round.

        It depends on the arguments alone, so it is the same on every worker, and an epoch's part
        does not depend on how many follow.

        Args:
            seed: the run's seed.
            round_number: the round.
            participant: the participant's index.
            shape: ``(S, channels, height, width)``.
            epochs: how many there are, 1 or more.

        Returns:
            ``(epochs · S, 2)`` int64, by how many pixels each picture is moved down and right; and
            ``(epochs · S,)`` bool, which ones are mirrored.
        """
        most = min(shape[2:]) // _MOVED if self.crop else 0
        random = seeding.generator(seed, "augmentation", round_number, participant)
        moves, flips = [], []
        for _ in range(epochs):
            moves.append(random.integers(-most, most + 1, (shape[0], 2)))
            flips.append((random.random(shape[0]) < 0.5) & self.flip)
        return torch.from_numpy(np.concatenate(moves)), torch.from_numpy(np.concatenate(flips))


def vary(images: Tensor, moves: Tensor, flips: Tensor, black: Sequence[float]) -> Tensor:
    """Return ``(N, C, H, W)`` images moved and mirrored, a copy.

    Args:
        images: the images; not changed.
        moves: ``(N, 2)`` by how many pixels each is moved down and right.
        flips: ``(N,)`` which ones are mirrored, after that.
        black: the value of black, one for all channels or one for each.
    """
    count, channels, height, width = images.shape
    if not count:
        return images.clone()
    device, edge = images.device, int(moves.abs().max())
    level = torch.tensor(black, dtype=images.dtype, device=device).view(1, -1, 1, 1)
    framed = level.expand(count, channels, height + 2 * edge, width + 2 * edge).clone()
    framed[:, :, edge : edge + height, edge : edge + width] = images
    moves, flips = moves.to(device), flips.to(device)
    rows = edge - moves[:, :1] + torch.arange(height, device=device)
    columns = edge - moves[:, 1:] + torch.arange(width, device=device)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    picture = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return framed[picture, channel, rows[:, None, :, None], columns[:, None, None, :]]
