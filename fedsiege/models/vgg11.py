"""VGG with 11 layers, narrowed at the end for small pictures."""

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import nn

from fedsiege.inputs import Inputs
from fedsiege.models import normalisation
from fedsiege.models.base import Model, registry

#: The channels of the convolutions; 0 is max pooling.
_LAYERS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
_SMALLEST = 32


@registry.register
@dataclass(frozen=True)
class Vgg11(Model):
    r"""Classify with the convolutions of VGG, configuration A, and a single linear layer.

    Eight convolutions of 3 by 3 with ReLU, and five max poolings. Of the three linear layers of the
    original, with 120 million parameters, one is left, behind the average of each channel: the
    usual form for pictures of 32 by 32. The shapes before each pooling, and the numbers of
    parameters of the layers between, for CIFAR-10 and without normalisation, which adds twice the
    channels:

    .. math::

        &3 \times 32 \times 32 \to 64 \times 32 \times 32 \to 128 \times 16 \times 16
            \to 256 \times 8 \times 8 \to 512 \times 4 \times 4 \to 512 \times 2 \times 2
            \to 512 \to 10 \\
        &1{,}792 + 73{,}856 + 885{,}248 + 3{,}539{,}968 + 4{,}719{,}616 + 5{,}130 = 9{,}225{,}610

    Source:
        Karen Simonyan and Andrew Zisserman, `Very Deep Convolutional Networks for Large-Scale Image
        Recognition <https://arxiv.org/abs/1409.1556>`_, ICLR 2015, table 1, column A.
    """

    name = "vgg11"
    summary = "VGG with a single linear layer, 9.2 million parameters"

    norm: Annotated[
        Literal["none", "batch", "group", "local"],
        "normalisation behind each convolution: none, batch with running statistics, which are "
        "part of the model; group, within each sample; local, by the batch alone",
    ] = "batch"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        if not inputs.pictures or min(inputs.shape[1:]) < _SMALLEST:
            raise self.refuse(inputs, f"pictures of {_SMALLEST}x{_SMALLEST} or more")
        features: list[nn.Module] = []
        channels = inputs.shape[0]
        for after in _LAYERS:
            if after == 0:
                features.append(nn.MaxPool2d(2))
                continue
            features.append(nn.Conv2d(channels, after, 3, padding=1))
            if self.norm != "none":
                features.append(normalisation.layer(self.norm)(after))
            features.append(nn.ReLU())
            channels = after
        for part in features:
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
                assert part.bias is not None
                nn.init.zeros_(part.bias)
        return nn.Sequential(
            *features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, inputs.classes)
        )
