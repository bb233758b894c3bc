"""The residual network of 18 layers, with a stem for small pictures."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from fedsiege import torchvision_import
from fedsiege.inputs import Inputs
from fedsiege.models import normalisation
from fedsiege.models.base import Model, registry
from fedsiege.models.normalisation import Norm

#: From this height and width on the network begins as for ImageNet.
_LARGE = 64


@registry.register
@dataclass(frozen=True)
class ResNet18(Model):
    r"""Classify with the residual network of 18 layers, torchvision's, with a stem by size.

    Eight blocks of two convolutions of 3 by 3 each with a connection around them, the average of
    each channel, and a linear layer. Pictures below 64 by 64 first pass a convolution of 3 by 3,
    larger ones one of 7 by 7 with stride 2 and max pooling, as for ImageNet. The shapes and the
    numbers of parameters of the stages, for pictures of CIFAR-10:

    .. math::

        &3 \times 32 \times 32 \to 64 \times 32 \times 32 \to 64 \times 32 \times 32
            \to 128 \times 16 \times 16 \to 256 \times 8 \times 8 \to 512 \times 4 \times 4
            \to 512 \to 10 \\
        &1{,}856 + 147{,}968 + 525{,}568 + 2{,}099{,}712 + 8{,}393{,}728 + 5{,}130 = 11{,}173{,}962

    Source:
        Kaiming He, Xiangyu Zhang, Shaoqing Ren and Jian Sun, `Deep Residual Learning for Image
        Recognition <https://arxiv.org/abs/1512.03385>`_, CVPR 2016, table 1 and, for small
        pictures, section 4.2.
    """

    name = "resnet18"
    summary = "residual network, 11.2 million parameters"
    imagenet: ClassVar[str] = "ResNet18_Weights.IMAGENET1K_V1"

    norm: Norm = "batch"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        if not inputs.pictures or min(inputs.shape[1:]) < 8:
            raise self.refuse(inputs, "pictures of 8x8 or more")
        make = torchvision_import.model("resnet18")
        layer = normalisation.layer(self.norm)
        module: nn.Module = make(num_classes=inputs.classes, norm_layer=layer)
        large = min(inputs.shape[1:]) >= _LARGE
        if not large or inputs.shape[0] != 3:
            kernel, stride, padding = (7, 2, 3) if large else (3, 1, 1)
            module.conv1 = nn.Conv2d(inputs.shape[0], 64, kernel, stride, padding, bias=False)
            nn.init.kaiming_normal_(module.conv1.weight, mode="fan_out", nonlinearity="relu")
        if not large:
            module.maxpool = nn.Identity()
        return module
