"""MobileNetV2, torchvision's."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from fedsiege import torchvision_import
from fedsiege.inputs import Inputs
from fedsiege.models import normalisation
from fedsiege.models.base import Model, registry
from fedsiege.models.normalisation import Norm


@registry.register
@dataclass(frozen=True)
class MobileNetV2(Model):
    r"""Classify with MobileNetV2, torchvision's, made of depthwise convolutions.

    Each of 17 blocks widens its input sixfold by a convolution of 1 by 1, filters each channel by
    itself, and narrows it again, with a connection around it where the shape stays. The network
    halves a picture five times; one of 28 by 28 ends as a single pixel, and one of 64 by 64 as 2 by
    2. The channels after the stem, the seven stages, the last convolution and the linear layer, and
    the numbers of their parameters, for colour pictures of ten classes:

    .. math::

        &3 \to 32 \to 16 \to 24 \to 32 \to 64 \to 96 \to 160 \to 320 \to 1280 \to 10 \\
        &928 + 896 + 13{,}968 + 39{,}696 + 183{,}872 + 303{,}168 + 795{,}264 + 473{,}920
            + 412{,}160 + 12{,}810 = 2{,}236{,}682

    Source:
        Mark Sandler, Andrew Howard, Menglong Zhu, Andrey Zhmoginov and Liang-Chieh Chen,
        `MobileNetV2: Inverted Residuals and Linear Bottlenecks
        <https://arxiv.org/abs/1801.04381>`_, CVPR 2018, section 4, table 2.
    """

    name = "mobilenet-v2"
    summary = "depthwise convolutions, 2.2 million parameters"
    imagenet: ClassVar[str] = "MobileNet_V2_Weights.IMAGENET1K_V1"

    width: Annotated[float, Gt(0), Le(4), "the number of channels, relative to the paper's"] = 1.0
    dropout: Annotated[float, Ge(0), Lt(1), "share of features dropped before the last layer"] = 0.2
    norm: Norm = "batch"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        if not inputs.pictures:
            raise self.refuse(inputs, "pictures")
        module: nn.Module = torchvision_import.model("mobilenet_v2")(
            num_classes=inputs.classes,
            width_mult=self.width,
            dropout=self.dropout,
            norm_layer=normalisation.layer(self.norm),
        )
        if inputs.shape[0] != 3:
            stem = module.get_submodule("features.0.0")
            assert isinstance(stem, nn.Conv2d)
            other = nn.Conv2d(inputs.shape[0], stem.out_channels, 3, 2, 1, bias=False)
            nn.init.kaiming_normal_(other.weight, mode="fan_out")
            module.set_submodule("features.0.0", other)
        return module
