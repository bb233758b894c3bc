"""What a layer is to the cohort engine, and the list of those it has a rule for.

Values between layers have one of two forms, A being the participants that train at this step and B
the samples a step:

- *images* ``(B, A·K, H, W)``, channels last: participant a owns the channels from ``a·K`` on;
- *rows* ``(A, B, F)``: a matrix of its own for every participant.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from fedsiege.training.cohort.block import Block

IMAGES, ROWS, EITHER, SAME = "images", "rows", "images or rows", "the form of its input"


@dataclass(frozen=True)
class Call:
    """One operation of the module's forward pass.

    Attributes:
        name: for people: "conv1 (Conv2d)".
        kind: the module's type, the function, or the name of the tensor method.
        module: the module, None for functions and methods.
        settings: the function's or method's arguments after its inputs; ``...`` stands for what is
            known only while it runs.
        options: its keyword arguments.
        inputs: whose results it takes, by position in the forward pass; 0 is the images.
        parameters: the full name of each parameter, by its name in the module.
    """

    name: str
    kind: object
    module: nn.Module | None
    settings: tuple[object, ...]
    options: dict[str, object]
    inputs: tuple[int, ...]
    parameters: dict[str, str]


class Layer(abc.ABC):
    """One operation, for all participants of a block at once. One object per block and call."""

    inputs: ClassVar[int] = 1
    takes: ClassVar[str] = EITHER
    gives: ClassVar[str] = SAME
    #: True if what it computes for one sample depends on the others of the batch.
    mixes_samples: ClassVar[bool] = False

    @staticmethod
    def objection(call: Call) -> str | None:
        """Return why the rule does not cover this call, None if it does."""
        return None

    @classmethod
    def begin(cls, call: Call, block: Block) -> "Layer":
        """Return the layer that runs this call for this block."""
        return cls(call, block)

    @abc.abstractmethod
    def __init__(self, call: Call, block: Block) -> None: ...

    @abc.abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute; keep what ``backward`` needs."""

    @abc.abstractmethod
    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Turn the gradient of the result into those of the inputs; make the step of SGD.

        Args:
            gradient: of the loss, in the form of the result.
            wanted: whether the gradients of the inputs are used.
        """

    def write(self, deltas: dict[str, Tensor]) -> None:  # noqa: B027 - most have no parameters
        """Write how far each parameter moved into ``deltas[name]``, ``(P, *its shape)``."""


RULES: dict[object, type[Layer]] = {}

Rule = TypeVar("Rule", bound=type[Layer])


def rule(*kinds: object) -> Callable[[Rule], Rule]:
    """Class decorator: this layer runs these kinds of calls."""

    def register(cls: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, cls))
        return cls

    return register
