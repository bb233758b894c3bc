"""The normalisation of the layers of a model: batch, group or local.

Batch normalisation with running statistics is the usual one. Its statistics are buffers, so they
are sent and aggregated with the parameters. The other two have no statistics to send.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

import torch
from torch import Tensor, nn

#: The channels of a group; fewer where the number of channels is no multiple of it.
_GROUP = 16

Norm: TypeAlias = Annotated[
    Literal["batch", "group", "local"],
    "normalisation: batch with running statistics, which are part of the model; group, within each "
    "sample; local, by the batch alone, when tested as well",
]


class LocalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the batch, in training and in tests.

    It keeps no running statistics. So the prediction for a sample depends on the other samples of
    its batch. Where a channel has a single value, that value is its own mean, and the result is the
    shift.

    Args:
        channels: the number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, track_running_stats=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise ``(N, channels, H, W)``."""
        scale = (self.weight, self.bias, None, None)
        return torch.batch_norm(input, *scale, True, 0.0, self.eps, torch.backends.cudnn.enabled)


def layer(norm: str) -> Callable[[int], nn.Module]:
    """Return what makes a normalisation layer for a number of channels.

    Args:
        norm: "batch", "group" or "local". A group has 16 channels where that divides them.
    """
    layers: dict[str, Callable[[int], nn.Module]]
    layers = {"batch": nn.BatchNorm2d, "group": _group, "local": LocalBatchNorm2d}
    return layers[norm]


def _group(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // math.gcd(channels, _GROUP), channels)
