"""A perceptron with one hidden layer."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le
from torch import nn

from fedsiege.inputs import Inputs
from fedsiege.models import Model


@dataclass(frozen=True)
class Perceptron(Model):
    """Classify by one hidden layer with ReLU.

    Its layers are named, so that the tensors of a checkpoint have the names ``fc1.weight`` and so
    on.

    Source:
        An example of FedSiege.
    """

    name: ClassVar[str] = "perceptron"
    summary: ClassVar[str] = "one hidden layer"

    hidden: Annotated[int, Ge(1), Le(10_000), "width of the hidden layer"] = 64

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module, with torch's default initialisation.

        Args:
            inputs: the shape of a sample, and the number of classes.

        Raises:
            InvalidValue: the inputs are tokens, which are no numbers to compute with.
        """
        if inputs.tokens:
            raise self.refuse(inputs, "pictures and features")
        return nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(math.prod(inputs.shape), self.hidden),
                relu=nn.ReLU(),
                fc2=nn.Linear(self.hidden, inputs.classes),
            )
        )
