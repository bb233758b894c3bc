"""How the samples of a data set become what a model takes."""

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Samples = npt.NDArray[Any]
#: Mean and standard deviation of each channel, for grey levels from 0 to 1.
Statistics = tuple[tuple[float, ...], tuple[float, ...]]

HALF: Statistics = (0.5,), (0.5,)
#: Of ImageNet's training pictures, by which torchvision's pretrained models normalise.
IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Pictures that the statistics of a data set are computed from at a time.
_TOGETHER = 1_000


class Preparation(abc.ABC):
    """Turns stored samples into the tensor that a model takes."""

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The values that black and white become; of other samples than pictures -1 and 1."""
        return (-1.0,), (1.0,)

    def shape_of(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that a stored sample of a shape gets; as it was, unless overridden.

        Raises:
            ValueError: samples of such a shape cannot be prepared.
        """
        return stored

    @abc.abstractmethod
    def __call__(self, samples: Samples) -> "Tensor":
        """Return ``(N, *shape)`` float32, or int64 for tokens: a copy.

        Args:
            samples: some of a data set's, as it stores them; not changed.
        """


@dataclass(frozen=True)
class Pictures(Preparation):
    """Grey levels to numbers: ``(x / 255 - mean) / std``, after a change of size and channels.

    With the defaults this is bit-identical to torchvision's ``ToTensor`` and ``Normalize(0.5,
    0.5)``: -1 black to 1 white. The size is changed by bilinear interpolation with antialiasing.

    Attributes:
        statistics: mean and standard deviation, of each channel or one for all.
        size: height and width; None to keep them.
        channels: 3 repeats a grey channel, 1 mixes three to a grey one by their luminance (0.299,
            0.587, 0.114); None to keep them.
    """

    statistics: Statistics = HALF
    size: int | None = None
    channels: int | None = None

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """``-mean / std`` and ``(1 - mean) / std`` of each channel, or one for all."""
        black, white = (
            tuple((level - mean) / std for mean, std in zip(*self.statistics, strict=True))
            for level in (0, 1)
        )
        return black, white

    def shape_of(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """Return ``(C, H, W)`` of ``(H, W)`` or ``(H, W, C)``."""
        if len(stored) not in (2, 3):
            raise ValueError("pictures are (H, W) or (H, W, C)")
        height, width, *channels = stored
        sides = (height, width) if self.size is None else (self.size, self.size)
        return self.channels or (channels[0] if channels else 1), *sides

    def __call__(self, samples: Samples) -> "Tensor":
        """Return ``(N, C, H, W)`` float32 of ``(N, H, W)`` or ``(N, H, W, C)`` uint8."""
        import torch  # late: choosing a data set does not need it
        from torch.nn.functional import interpolate

        pixels = torch.from_numpy(samples.astype(np.float32))
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        if self.channels == 3 and pixels.shape[1] == 1:
            pixels = pixels.repeat(1, 3, 1, 1)
        elif self.channels == 1 and pixels.shape[1] == 3:
            luminance = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            pixels = (pixels * luminance).sum(dim=1, keepdim=True)
        if self.size is not None and pixels.shape[2:] != (self.size, self.size):
            sides = (self.size, self.size)
            pixels = interpolate(pixels, sides, mode="bilinear", antialias=True).clamp_(0, 255)
        mean, deviation = (torch.tensor(part).view(-1, 1, 1) for part in self.statistics)
        return pixels.contiguous().div_(255).sub_(mean).div_(deviation)


@dataclass(frozen=True)
class Measurements(Preparation):
    """Features to numbers: ``(x - mean) / std``, each feature by its own.

    Attributes:
        mean: ``(F,)`` float32.
        deviation: ``(F,)`` float32, none of them 0.
    """

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]

    @classmethod
    def of(cls, samples: Samples) -> "Measurements":
        """Return that by the statistics of ``(N, F)`` samples; a constant feature becomes 0."""
        values = np.asarray(samples, np.float64)
        deviation = values.std(axis=0)
        deviation[deviation == 0] = 1
        return cls(values.mean(axis=0).astype(np.float32), deviation.astype(np.float32))

    def __call__(self, samples: Samples) -> "Tensor":
        """Return ``(N, F)`` float32."""
        import torch

        return torch.from_numpy((samples.astype(np.float32) - self.mean) / self.deviation)


@dataclass(frozen=True)
class AsTokens(Preparation):
    """Tokens as they are."""

    def __call__(self, samples: Samples) -> "Tensor":
        """Return ``(N, L)`` int64."""
        import torch

        return torch.from_numpy(samples.astype(np.int64))


def statistics_of(samples: Samples) -> Statistics:
    """Return mean and standard deviation of each channel, for grey levels from 0 to 1.

    Args:
        samples: ``(N, H, W)`` or ``(N, H, W, C)`` uint8.
    """
    channels = 1 if samples.ndim == 3 else samples.shape[3]
    totals = np.zeros((2, channels))
    for start in range(0, len(samples), _TOGETHER):
        levels = samples[start : start + _TOGETHER].reshape(-1, channels) / 255
        totals += levels.sum(axis=0), np.square(levels).sum(axis=0)
    mean, square = totals / (samples.size / channels)
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    deviation[deviation == 0] = 1
    return tuple(map(float, mean)), tuple(map(float, deviation))
