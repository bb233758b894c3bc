"""The architectures. All take ``(N, 1, 28, 28)`` float32 and return logits ``(N, 10)``.

They are plain sequences of named layers, so that the cohort trainer can walk them and so that the
names of their parameters (``conv1.weight``) are those of the checkpoints.
"""

import abc
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from fedsiege import seeding
from fedsiege.models.stateless import refuse_state
from fedsiege.registry import Registry


class Architecture(abc.ABC):
    """Base of all architectures.

    Attributes:
        name: what the user calls it.
        summary: one line for listings.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    @abc.abstractmethod
    def build(self) -> nn.Module:
        """Return the module with torch's default initialisation, drawn from the global RNG."""


registry: Registry[Architecture] = Registry("model")


@registry.register
@dataclass(frozen=True)
class Net(Architecture):
    """The classifier of the project Detect and Defend (science.md, section 1): 13,106 parameters.

    Both convolutions have a single channel, which is why it stays near 93 % on MNIST.
    """

    name = "net"
    summary = "the seed project's small classifier, 13,106 parameters"

    def build(self) -> nn.Module:
        """Return the module."""
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 1, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(1, 1, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(16, 120),
                relu3=nn.ReLU(),
                fc2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                fc3=nn.Linear(84, 10),
            )
        )


@registry.register
@dataclass(frozen=True)
class LeNet5(Architecture):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling, no padding: 44,426 parameters."""

    name = "lenet5"
    summary = "LeNet-5 with ReLU and max pooling, 44,426 parameters"

    def build(self) -> nn.Module:
        """Return the module."""
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 6, 5),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(6, 16, 5),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(256, 120),
                relu3=nn.ReLU(),
                fc2=nn.Linear(120, 84),
                relu4=nn.ReLU(),
                fc3=nn.Linear(84, 10),
            )
        )


@registry.register
@dataclass(frozen=True)
class Cnn(Architecture):
    """The CNN of the MPAF paper's group (Cao & Gong 2022 and its sister papers): 139,960."""

    name = "cnn"
    summary = "the MPAF paper group's CNN, 139,960 parameters"

    def build(self) -> nn.Module:
        """Return the module."""
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 30, 3),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(30, 50, 3),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(1250, 100),
                relu3=nn.ReLU(),
                fc2=nn.Linear(100, 10),
            )
        )


def names() -> list[str]:
    """Return the names of all models in alphabetical order."""
    return registry.names()


def create(name: str) -> nn.Module:
    """Return a new module of that architecture on the CPU, in training mode.

    Its weights are torch's default initialisation from a fixed seed, the same at every call;
    ``unflatten_into`` puts the wanted ones in.

    Raises:
        InvalidValue: unknown name; the text says which ones are near and which there are. Or the
            module has state that a federation does not send, such as buffers: see ``stateless``.
    """
    return create_seeded(name, 0)


def create_seeded(name: str, torch_seed: int) -> nn.Module:
    """Return a new module whose weights are what ``torch.manual_seed(torch_seed)`` leads to.

    The global RNG is as it was before.
    """
    architecture = registry.create(name)
    with seeding.torch_seeded(torch_seed):
        module = architecture.build()
    refuse_state(module, name)
    return module
