"""SpecGuard: keeps the updates that lie in the span of clean gradients."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.errors import InvalidValue
from fedsiege.numerics.cosines import products_with
from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import clipped_mean, median_of
from fedsiege.rules.base import (
    Aggregation,
    StatefulRule,
    keep_model,
    registry,
)
from fedsiege.rules.context import RoundContext
from fedsiege.rules.root_data import RootData
from fedsiege.rules.state import own


@dataclass(frozen=True)
class SpecGuardState:
    """What SpecGuard remembers.

    Attributes:
        directions: ``(k, d)`` float32, orthonormal.
        age: how many rounds they have been used for.
    """

    directions: Tensor
    age: int


@registry.register
@dataclass(frozen=True)
class SpecGuard(StatefulRule):
    r"""The clipped mean of the updates that lie most in the span of clean gradients.

    .. math::
        \frac{1}{|A|} \sum_{i \in A} g_i \min\left( 1, \frac{M}{\lVert g_i \rVert} \right), \qquad
        R_i = \frac{\lVert V g_i \rVert^2}{\lVert g_i \rVert^2}

    where A holds the :math:`\lceil k n \rceil` rows with the highest :math:`R_i`, k being the
    parameter ``keep``, and M is the median norm of all rows. The rows of V are the first
    ``directions`` right singular vectors of the gradients of the aggregator's ``root`` clean
    samples, one row each, computed anew every ``every`` rounds. Where every :math:`R_i` is 0 the
    model is kept: an update of zeros, no row accepted.

    It needs the clean samples, the global model and its architecture; there is no condition on n.
    Memory: ``4 d directions`` bytes; ``4 d root`` while the directions are computed.

    The authors' ``specguard`` subtracts the mean of the clean gradients before it takes their
    singular vectors; a variant, ``specguard3``, does not. This rule does not, as the formula above
    says: the first direction is then about that of the mean gradient, in which honest updates
    agree, and which centring takes out. Further, the code keeps ``floor(0.75 n)`` rows where this
    rule keeps :math:`\lceil k n \rceil`, and takes the lower of two middle norms for the median
    where this rule takes their mean.

    Source:
        `089487/SpecGuard-Defense <https://github.com/089487/SpecGuard-Defense>`_, code and a table,
        not peer-reviewed.
    """

    name: ClassVar[str] = "specguard"
    summary: ClassVar[str] = (
        "clipped mean of the updates that lie most in the span of clean gradients"
    )
    trusting: ClassVar[bool] = True
    by_participant: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("root", "model", "architecture")

    root: Annotated[int, Ge(1), "number of clean samples that the aggregator holds"] = 100
    directions: Annotated[int, Ge(1), "number of singular vectors of the clean gradients"] = 5
    every: Annotated[int, Ge(1), "rounds between two computations of the singular vectors"] = 20
    keep: Annotated[float, Gt(0), Le(1), "share of the updates that are averaged"] = 0.75

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.directions > self.root:
            allowed = f"{self.root} or less, the number of root samples"
            raise InvalidValue(f"{self.name}:directions", self.directions, allowed)

    @property
    def root_samples(self) -> int:
        """How many clean samples the aggregator has to hand in."""
        return self.root

    def required(self, state: object | None = None) -> tuple[str, ...]:
        """Return what it needs: nothing while it goes on with the directions of a state."""
        age = state.age if isinstance(state, SpecGuardState) else 0
        return super().required(state) if state is None or age >= self.every else ()

    def advance(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate; the scores are R. It needs root samples, model and architecture.

        Raises:
            InvalidValue: the state is not this rule's, or one of models of another size.
        """
        n, d = updates.shape
        before = own(self.name, state, SpecGuardState, ["directions"], directions=("k", d))
        if before is None or before.age >= self.every:
            gradients = RootData(context, d).gradients()
            found = torch.linalg.svd(gradients, full_matrices=False).Vh[: self.directions]
            before = SpecGuardState(found.contiguous(), 0)
        after = SpecGuardState(before.directions, before.age + 1)
        norms = row_norms(updates)
        products = [products_with(updates, direction) for direction in before.directions]
        energy = torch.stack(products).square().sum(dim=0)
        ratios = torch.where(norms > 0, energy / norms.square(), 0.0)
        if not ratios.any():
            return keep_model(updates, ratios, after)
        accepted = torch.zeros(n, dtype=torch.bool)
        best = ratios.argsort(descending=True, stable=True)
        accepted[best[: math.ceil(self.keep * n)]] = True
        mean = clipped_mean(updates, accepted, norms, median_of(norms))
        return Aggregation(mean, accepted, ratios, after)
