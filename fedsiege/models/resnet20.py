"""The residual network of 20 layers for small pictures."""

from collections import OrderedDict
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege.inputs import Inputs
from fedsiege.models import normalisation
from fedsiege.models.base import Model, registry
from fedsiege.models.normalisation import Norm


@registry.register
@dataclass(frozen=True)
class ResNet20(Model):
    r"""Classify with the residual network of 20 layers that was made for CIFAR-10.

    A convolution of 3 by 3, nine blocks of two convolutions each with a connection around them, the
    average of each channel, and a linear layer. Where the number of channels doubles, the
    connection takes every second pixel and adds channels of zeros. The shapes and the numbers of
    parameters of the stages, for pictures of CIFAR-10:

    .. math::

        &3 \times 32 \times 32 \to 16 \times 32 \times 32 \to 16 \times 32 \times 32
            \to 32 \times 16 \times 16 \to 64 \times 8 \times 8 \to 64 \to 10 \\
        &464 + 14{,}016 + 51{,}072 + 203{,}520 + 650 = 269{,}722

    Source:
        Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, `Deep Residual Learning for Image
        Recognition <https://arxiv.org/abs/1512.03385>`_, CVPR 2016, section 4.2, option A;
        normalisation by group: Yuxin Wu and Kaiming He, `Group Normalization
        <https://arxiv.org/abs/1803.08494>`_, ECCV 2018.
    """

    name = "resnet20"
    summary = "residual network for small pictures, 0.27 million parameters"

    norm: Norm = "batch"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        if not inputs.pictures or min(inputs.shape[1:]) < 8:
            raise self.refuse(inputs, "pictures of 8x8 or more")
        layer = normalisation.layer(self.norm)
        stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
        module = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(inputs.shape[0], 16, 3, padding=1, bias=False),
                norm=layer(16),
                relu=nn.ReLU(),
                **{
                    f"stage{number}": nn.Sequential(
                        Block(before, after, stride, self.norm),
                        *(Block(after, after, 1, self.norm) for _ in range(2)),
                    )
                    for number, (before, after, stride) in enumerate(stages, 1)
                },
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                fc=nn.Linear(64, inputs.classes),
            )
        )
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        return module


class Block(nn.Module):
    """Two convolutions of 3 by 3, and a connection around them without parameters.

    Args:
        before: the channels that it takes.
        after: the channels that it returns, ``before`` or more.
        stride: of the first convolution.
        norm: the normalisation.
    """

    def __init__(self, before: int, after: int, stride: int, norm: str) -> None:
        super().__init__()
        layer = normalisation.layer(norm)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = layer(after)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = layer(after)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else Shortcut(after - before, stride)
        self.relu2 = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, after, H / stride, W / stride)``."""
        inner = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(images)))))
        return self.relu2(inner + self.shortcut(images))  # type: ignore[no-any-return]


class Shortcut(nn.Module):
    """Every second pixel, with channels of zeros around the others.

    Args:
        added: the number of channels of zeros.
        stride: 2 for every second pixel, 1 for all.
    """

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, images: Tensor) -> Tensor:
        """Return ``(N, C + added, H / stride, W / stride)``."""
        front = self.added // 2
        kept = images[..., :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, front, self.added - front))
