"""The multi-layer perceptron, for tables and pictures."""

import itertools
import math
import re
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from fedsiege.errors import InvalidValue
from fedsiege.inputs import Inputs
from fedsiege.models.base import Model, registry
from fedsiege.registry import Spelling

_WIDTHS = re.compile(r"[1-9]\d{0,4}(-[1-9]\d{0,4}){0,15}")
_FORM = "widths of 1 to 99999 with hyphens between, such as 200-100, at most 16"


@registry.register
@dataclass(frozen=True)
class Mlp(Model):
    r"""Classify with linear layers and ReLU between them.

    A picture is a row of its values. With hidden layers of :math:`h_1, \dots, h_k` units:

    .. math::

        &x_0 = x \in \mathbb{R}^{h_0}, \qquad x_i = \max(0, W_i x_{i-1} + b_i), \qquad
            z = W_{k+1} x_k + b_{k+1} \\
        &p = \sum_{i=1}^{k+1} h_i (h_{i-1} + 1)

    where :math:`h_0` is the number of values of a sample, :math:`h_{k+1}` the number of classes,
    and :math:`p` the number of parameters.

    Source:
        David Rumelhart, Geoffrey Hinton and Ronald Williams, `Learning representations by
        back-propagating errors <https://doi.org/10.1038/323533a0>`_, Nature 323, 1986; 200 units
        twice for MNIST: Brendan McMahan et al., `Communication-Efficient Learning of Deep Networks
        from Decentralized Data <https://arxiv.org/abs/1602.05629>`_, AISTATS 2017, section 3.
    """

    name = "mlp"
    summary = "linear layers with ReLU between them, for tables and pictures"
    positional = "hidden"

    hidden: Annotated[str, "units of each hidden layer", Spelling(_FORM)] = "200-200"

    def check_together(self) -> None:
        """Raise InvalidValue unless the widths are such."""
        if not _WIDTHS.fullmatch(self.hidden):
            raise InvalidValue(f"{self.name}:hidden", self.hidden, _FORM)

    def build(self, inputs: Inputs) -> nn.Module:
        """Return the module."""
        if inputs.tokens:
            raise self.refuse(inputs, "rows of a table, and pictures")
        widths = [math.prod(inputs.shape), *map(int, self.hidden.split("-"))]
        module = nn.Sequential(nn.Flatten())
        for number, (before, after) in enumerate(itertools.pairwise(widths), 1):
            module.add_module(f"fc{number}", nn.Linear(before, after))
            module.add_module(f"relu{number}", nn.ReLU())
        module.add_module("out", nn.Linear(widths[-1], inputs.classes))
        return module
