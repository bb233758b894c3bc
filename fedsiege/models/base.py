"""The base of all models, and a model built for the inputs of a data set."""

import abc
import functools
import math
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import nn

from fedsiege import grammar, seeding
from fedsiege.errors import InvalidValue
from fedsiege.inputs import MNIST_LIKE, Inputs
from fedsiege.models.state import is_variance, refuse_mixing, tensors
from fedsiege.registry import Component, Registry

Layout: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Model(Component, abc.ABC):
    """Base of all models.

    A model is a frozen dataclass of its parameters that builds a module for the inputs of a data
    set. The module takes ``(N, *inputs.shape)``, float32 or for tokens int64, and returns logits
    ``(N, inputs.classes)``. Its state is its parameters and its floating-point buffers; see
    ``fedsiege.models.state``.
    """

    #: The name of its ImageNet weights among torchvision's; empty for none.
    imagenet: ClassVar[str] = ""

    @abc.abstractmethod
    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module with torch's default initialisation, drawn from the global RNG.

        Raises:
            InvalidValue: it cannot be built for such inputs; see ``refuse``.
        """

    def refuse(self, inputs: Inputs, takes: str) -> InvalidValue:
        """Return the error for inputs that this model cannot be built for.

        Args:
            inputs: those asked for.
            takes: what it takes, such as "pictures of 16x16 or more".
        """
        return InvalidValue("model", self.name, f"a model for {inputs}; {self.name} takes {takes}")


registry: Registry[Model] = Registry("model", Model, "fedsiege.models")


@dataclass(frozen=True)
class Classifier:
    """A model of the catalogue, built for the inputs of a data set.

    Attributes:
        model: the model as text: ``net``, ``mlp:hidden=50``.
        inputs: what it takes, and the classes that it tells apart.
    """

    model: str
    inputs: Inputs = MNIST_LIKE

    def __str__(self) -> str:
        return self.model

    def create(self, torch_seed: int = 0) -> nn.Module:
        """Return a new module on the CPU, in training mode.

        Args:
            torch_seed: its weights are torch's default initialisation after
                ``torch.manual_seed(torch_seed)``. The global generator is restored.

        Raises:
            InvalidValue: the name is unknown, a parameter is not allowed, the model does not take
                such inputs, or it classifies a sample by the others of its batch.
        """
        with seeding.torch_seeded(torch_seed):
            module = registry.parse(self.model).build(self.inputs)
        refuse_mixing(module, self.model)
        return module


#: A classifier, or a model as text for inputs like those of MNIST.
Named: TypeAlias = Classifier | str


def classifier(named: Named) -> Classifier:
    """Return the classifier that is meant."""
    return named if isinstance(named, Classifier) else Classifier(named)


def names() -> list[str]:
    """Return the names of all models in alphabetical order."""
    return registry.names()


def create(named: Named) -> nn.Module:
    """Return a new module on the CPU, in training mode, with the same weights at every call.

    ``unflatten_into`` sets others.

    Raises:
        InvalidValue: as ``Classifier.create``.
    """
    return classifier(named).create()


@functools.cache
def _tensors(of: Classifier) -> tuple[Layout, int]:
    """Return the layout of a classifier, and how many of its tensors are parameters."""
    with torch.device("meta"):  # shapes only: nothing is allocated or drawn
        module = registry.parse(of.model).build(of.inputs)
    refuse_mixing(module, of.model)
    shapes = tuple((key, tuple(value.shape)) for key, value in tensors(module))
    return shapes, len(list(module.parameters()))


def layout(named: Named) -> Layout:
    """Return names and shapes of a model's tensors in the order of the flat vector.

    The parameters come first, then the floating-point buffers.

    Raises:
        InvalidValue: as ``Classifier.create``.
    """
    return _tensors(classifier(named))[0]


def size(named: Named) -> int:
    """Return ``d``, the number of weights of a model, buffers included.

    Raises:
        InvalidValue: as ``Classifier.create``.
    """
    return sum(math.prod(shape) for _, shape in layout(named))


def trained(named: Named) -> int:
    """Return ``p``, how many of the first weights are parameters; the others are buffers.

    Raises:
        InvalidValue: as ``Classifier.create``.
    """
    shapes, count = _tensors(classifier(named))
    return sum(math.prod(shape) for _, shape in shapes[:count])


def variances(layout: Layout) -> list[slice]:
    """Return where in the flat vector variances lie, which are 0 or more."""
    found, start = [], 0
    for name, shape in layout:
        end = start + math.prod(shape)
        if is_variance(name):
            found.append(slice(start, end))
        start = end
    return found


def check_shapes(named: Named) -> None:
    """Check that a model of a plug-in takes its inputs and returns a logit for each class.

    Raises:
        InvalidValue: it does not, or its parameters are not float32; the message says what it does.
    """
    of = classifier(named)
    if registry.origin(grammar.component(of.model)[0]) is None:
        return
    module = of.create().eval()
    types = {str(parameter.dtype) for parameter in module.parameters()}
    if types != {"torch.float32"}:
        found = ", ".join(sorted(types)) or "none"
        raise InvalidValue("model", of.model, f"a model with parameters of float32; it has {found}")
    # In one thread: the process may fork afterwards, and threads of torch do not survive that.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    kind = torch.int64 if of.inputs.tokens else torch.float32
    try:
        with torch.inference_mode():
            logits = module(torch.zeros(2, *of.inputs.shape, dtype=kind))
    except Exception as error:
        allowed = f"a model that takes {of.inputs}, {of.inputs.shape}; it fails: {error}"
        raise InvalidValue("model", of.model, allowed) from error
    finally:
        torch.set_num_threads(threads)
    if getattr(logits, "shape", None) != (2, of.inputs.classes):
        given = tuple(getattr(logits, "shape", ())) or type(logits).__name__
        allowed = f"a model that returns (N, {of.inputs.classes}) logits; "
        raise InvalidValue("model", of.model, f"{allowed}for 2 inputs it returns {given}")
