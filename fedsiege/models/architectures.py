"""The architectures. All take ``(N, 1, 28, 28)`` float32 and return logits ``(N, 10)``.

They are sequences of named layers, so that the cohort engine can run them. The names of their
parameters, such as ``conv1.weight``, are those in the checkpoints.
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
        name: the name by which users select it.
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
    """The CNN of the MPAF paper (Cao & Gong 2022) and related papers: 139,960 parameters."""

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
    """Return a new module of an architecture on the CPU, in training mode.

    Its weights are torch's default initialisation from a fixed seed, the same at every call;
    ``unflatten_into`` sets others.

    Raises:
        InvalidValue: the name is unknown; the message lists the known ones. Or the module has state
            besides its parameters, see ``stateless``.
    """
    return create_seeded(name, 0)


def create_seeded(name: str, torch_seed: int) -> nn.Module:
    """Return a new module with the weights that follow from ``torch.manual_seed(torch_seed)``.

    The global generator is restored.
    """
    architecture = registry.create(name)
    with seeding.torch_seeded(torch_seed):
        module = architecture.build()
    refuse_state(module, name)
    return module
