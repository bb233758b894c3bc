"""The base of all models, and the built-in ones.

All models take ``(N, 1, 28, 28)`` float32 and return logits ``(N, 10)``. The built-in ones are
sequences of named layers, so that the cohort engine can run them. The names of their parameters,
such as ``conv1.weight``, are those in the checkpoints.
"""

import abc
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from fedsiege import grammar, seeding
from fedsiege.errors import InvalidValue
from fedsiege.models.stateless import refuse_state
from fedsiege.registry import Component, Registry

#: The shape of an image, and the number of classes, that every model is built for.
INPUT, CLASSES = (1, 28, 28), 10


@dataclass(frozen=True)
class Model(Component, abc.ABC):
    """Base of all models.

    A model is a frozen dataclass of its parameters that builds a module. The module takes
    ``(N, 1, 28, 28)`` float32, -1 black to 1 white, and returns logits ``(N, 10)``. It has no state
    besides its parameters, such as the running statistics of batch normalisation, which a
    federation would neither send nor aggregate.
    """

    @abc.abstractmethod
    def build(self) -> nn.Module:
        """Return the module with torch's default initialisation, drawn from the global RNG."""


registry: Registry[Model] = Registry("model", Model, "fedsiege.models")


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
    """Return a new module of a model on the CPU, in training mode.

    Its weights are torch's default initialisation from a fixed seed, the same at every call;
    ``unflatten_into`` sets others.

    Args:
        name: the model as text: ``net``, ``mlp:hidden=50``.

    Raises:
        InvalidValue: the name is unknown; the message lists the known ones. Or a parameter is not
            allowed, or the module has state besides its parameters, see ``stateless``.
    """
    return create_seeded(name, 0)


def create_seeded(name: str, torch_seed: int) -> nn.Module:
    """Return a new module with the weights that follow from ``torch.manual_seed(torch_seed)``.

    The global generator is restored.
    """
    model = registry.parse(name)
    with seeding.torch_seeded(torch_seed):
        module = model.build()
    refuse_state(module, name)
    return module


def check_shapes(name: str) -> None:
    """Check that a model of a plug-in takes the images and returns a logit for each class.

    Raises:
        InvalidValue: it does not, or its parameters are not float32; the message says what it does.
    """
    if registry.origin(grammar.component(name)[0]) is None:
        return
    module = create(name).eval()
    types = {str(parameter.dtype) for parameter in module.parameters()}
    if types != {"torch.float32"}:
        found = ", ".join(sorted(types)) or "none"
        raise InvalidValue("model", name, f"a model with parameters of float32; it has {found}")
    # In one thread: the process may fork afterwards, and threads of torch do not survive that.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            logits = module(torch.zeros(2, *INPUT))
    except Exception as error:
        allowed = f"a model that takes images of {INPUT}; it fails: {error}"
        raise InvalidValue("model", name, allowed) from error
    finally:
        torch.set_num_threads(threads)
    if getattr(logits, "shape", None) != (2, CLASSES):
        given = tuple(getattr(logits, "shape", ())) or type(logits).__name__
        allowed = f"a model that returns (N, {CLASSES}) logits; for 2 images it returns {given}"
        raise InvalidValue("model", name, allowed)
