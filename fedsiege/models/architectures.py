"""The small convolutional networks: net, lenet5 and cnn.

They are sequences of named layers, so that the cohort engine can run them. The names of their
parameters, such as ``conv1.weight``, are those in the checkpoints.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from fedsiege.inputs import Inputs
from fedsiege.models.base import Model, registry


@registry.register
@dataclass(frozen=True)
class Net(Model):
    r"""Classify with the small network of the project Detect and Defend.

    Two convolutions of 5 by 5 with ReLU and max pooling, then three linear layers with ReLU between
    them. The shapes, and the numbers of parameters of the five layers:

    .. math::

        &1 \times 28 \times 28 \to 1 \times 12 \times 12 \to 1 \times 4 \times 4
            \to 120 \to 84 \to 10 \\
        &26 + 26 + 2{,}040 + 10{,}164 + 850 = 13{,}106

    Both convolutions have a single channel, which is why it stays near 93 % on MNIST.

    Source:
        Detect and Defend, the project that FedSiege began from.
    """

    name = "net"
    summary = "the seed project's small classifier, 13,106 parameters"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        values = _after_pooling(self, inputs, 5)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(inputs.shape[0], 1, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(1, 1, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(values, 120),
                relu3=nn.ReLU(),
                fc2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                fc3=nn.Linear(84, inputs.classes),
            )
        )


@registry.register
@dataclass(frozen=True)
class LeNet5(Model):
    r"""Classify with LeNet-5, with ReLU and max pooling.

    Two convolutions of 5 by 5 with ReLU and max pooling, then three linear layers with ReLU between
    them. The shapes, and the numbers of parameters of the five layers:

    .. math::

        &1 \times 28 \times 28 \to 6 \times 12 \times 12 \to 16 \times 4 \times 4
            \to 120 \to 84 \to 10 \\
        &156 + 2{,}416 + 30{,}840 + 10{,}164 + 850 = 44{,}426

    The original pads the input to 32 by 32 and has tanh units, trained averages in place of max
    pooling, sparse connections between the convolutions and radial basis functions at the end; here
    nothing is padded.

    Source:
        Yann LeCun, Léon Bottou, Yoshua Bengio and Patrick Haffner, `Gradient-Based Learning Applied
        to Document Recognition <https://doi.org/10.1109/5.726791>`_, Proceedings of the IEEE
        86(11), 1998, section II.B.
    """

    name = "lenet5"
    summary = "LeNet-5 with ReLU and max pooling, 44,426 parameters"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        values = _after_pooling(self, inputs, 5)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(inputs.shape[0], 6, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(6, 16, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(16 * values, 120),
                relu3=nn.ReLU(),
                fc2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                fc3=nn.Linear(84, inputs.classes),
            )
        )


@registry.register
@dataclass(frozen=True)
class Cnn(Model):
    r"""Classify with the CNN of the MPAF paper and of related papers.

    Two convolutions of 3 by 3 with ReLU and max pooling, then two linear layers with ReLU between
    them. The shapes, and the numbers of parameters of the four layers:

    .. math::

        &1 \times 28 \times 28 \to 30 \times 13 \times 13 \to 50 \times 5 \times 5
            \to 100 \to 10 \\
        &300 + 13{,}550 + 125{,}100 + 1{,}010 = 139{,}960

    Source:
        Xiaoyu Cao and Neil Zhenqiang Gong, `MPAF: Model Poisoning Attacks to Federated Learning
        based on Fake Clients <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section
        5.1.
    """

    name = "cnn"
    summary = "the MPAF paper group's CNN, 139,960 parameters"

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        values = _after_pooling(self, inputs, 3)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(inputs.shape[0], 30, 3),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(30, 50, 3),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(50 * values, 100),
                relu3=nn.ReLU(),
                fc2=nn.Linear(100, inputs.classes),
            )
        )


def _after_pooling(model: Model, inputs: Inputs, kernel: int) -> int:
    """Return how many values a channel has after two convolutions with pooling by 2 each.

    Args:
        model: the model.
        inputs: what it is built for.
        kernel: the side of the kernels; nothing is padded.

    Raises:
        InvalidValue: they are no pictures, or too small for that.
    """
    values = 1
    for side in inputs.shape[1:]:
        for _ in range(2):
            side = (side - kernel + 1) // 2  # noqa: PLW2901
        values *= max(0, side)
    if not inputs.pictures or values == 0:
        smallest = 2 * (2 + kernel - 1) + kernel - 1
        raise model.refuse(inputs, f"pictures of {smallest}x{smallest} or more")
    return values
