"""LayerGuard: weights participants layer by layer, by how similar they are to others."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.errors import UnfitRound
from fedsiege.numerics.cosines import cosines
from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class LayerGuard(Rule):
    r"""A weighted mean per layer; participants that are very similar to others in it weigh less.

    The similarity of participant i in layer l is its mean cosine to the K most similar others
    there, :math:`N_{il}`, K being the parameter ``neighbours``:

    .. math::
        \mathrm{LCSS}_{il} = \frac{1}{K} \sum_{j \in N_{il}} \cos(g_{il}, g_{jl})

    1. *Anomalous* in a layer are the participants :math:`A_l` with
       :math:`\mathrm{LCSS}_{il} \ge \tau`, for the first :math:`\tau` of ``start``,
       ``start - step``, ... above 0 that any participant reaches.
    2. *High-risk* are the layers H with at least ``n / 2 - 1`` anomalous participants; if there are
       none, those with the most.
    3. The layer's update is the mean with the weights :math:`\alpha_i \beta_{il}`, or 1 where
       :math:`\beta_{il} = 1` or no participant is anomalous. Where all weights are 0 that layer is
       kept.

    .. math::
        \alpha_i = 1 - \frac{|\{\, l \in H : i \in A_l \,\}|}{|H|}, \qquad
        \beta_{il} = \mathrm{clip}_{[0, 1]}
        \left( \frac{h_l - \mathrm{LCSS}_{il}}{h_l - b_l} \right)

    where :math:`h_l` is the smallest LCSS of the anomalous participants of the layer, from which on
    :math:`\beta` is 0, and :math:`b_l`, up to which it is 1, the mean LCSS of the half with the
    highest :math:`\alpha` (all of those equal to the last of them). Where :math:`h_l \le b_l`,
    :math:`\beta` is 1 below :math:`h_l` and 0 from there on.

    A layer is a tensor of the model, weights and biases apart. A tensor of one number belongs to
    the layer before it, or to the one after if it comes first. The paper does not do that; but the
    cosine of two single numbers is 1 or -1, so all that agree on a sign would be suspected, and a
    single participant that differs would get the whole weight of that layer. The paper's weights by
    sample counts, which are claims, are left out.

    Some participants are always suspected: honest ones lose weight where there is no attack, and
    where all are alike (LCSS of 0.95 for all) the model is kept. A single fake resembles no other,
    and passes with any norm. It needs the layout of the model. Cost: :math:`O(n^2 d)`.

    Source:
        Kaiqi Wang, Jiangang Shu, Qingfeng Tan, Bo Hu. `LayerGuard: Poisoning-Resilient Federated
        Learning via Layer-Wise Similarity Analysis <https://openreview.net/forum?id=InyYuWLWHD>`_.
        NeurIPS 2025, sections 3.3 to 3.7.
    """

    name: ClassVar[str] = "layerguard"
    summary: ClassVar[str] = (
        "weighted mean per layer; updates very similar to others in a layer count less"
    )
    accuses: ClassVar[bool] = True
    trusting: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("layout",)

    neighbours: Annotated[
        int,
        Ge(1),
        "number of most similar participants that a similarity is the mean of; fewer if there "
        "are not that many",
    ] = 2
    start: Annotated[float, Gt(0), Le(1), "first similarity threshold tried"] = 0.95
    step: Annotated[float, Ge(0.001), "by how much the threshold falls from try to try"] = 0.05

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; rows with weight in any layer are accepted, scores are mean weights.

        It needs the layout.
        """
        d = updates.shape[1]
        layers = layers_of(context.layout, d)
        similarity = [self.similarity(updates[:, layer]) for layer in layers]
        weights = self.weights(torch.stack(similarity))
        update = torch.zeros(d, device=updates.device)
        for layer, weight in zip(layers, weights, strict=True):
            if weight.any():
                update[layer] = weighted_mean(updates[:, layer], weight)
        return Aggregation(update, (weights > 0).any(dim=0), weights.mean(dim=0))

    def similarity(self, layer: Tensor) -> Tensor:
        """Return ``(n,)`` float64: the LCSS of each row in a layer, 0 where there is one row."""
        n = len(layer)
        if n == 1:
            return torch.zeros(1, dtype=torch.float64)
        others = cosines(layer).fill_diagonal_(-torch.inf)
        return others.topk(min(self.neighbours, n - 1), dim=1).values.mean(dim=1)

    def weights(self, similarity: Tensor) -> Tensor:
        """Return ``(L, n)`` float64: the weights, from the LCSS ``(L, n)``."""
        layers, n = similarity.shape
        anomalous = torch.stack([self._anomalous(row) for row in similarity])
        counts = anomalous.sum(dim=1)
        risky = counts >= max(1, min(n / 2 - 1, int(counts.max())))
        alpha = 1 - anomalous[risky].double().mean(dim=0) if risky.any() else torch.ones(n).double()
        trusted = alpha >= alpha.sort(descending=True).values[math.ceil(n / 2) - 1]
        weights = torch.ones(layers, n, dtype=torch.float64)
        for layer, (row, flagged) in enumerate(zip(similarity, anomalous, strict=True)):
            if flagged.any():
                hostile, benign = row[flagged].min(), row[trusted].mean()
                # Where the boundaries cross, hostile comes first.
                beta = ((hostile - row) / (hostile - benign).clamp(min=1e-12)).clamp(0, 1)
                beta[row <= benign] = 1
                beta[row >= hostile] = 0
                weights[layer] = torch.where(beta == 1, 1.0, alpha * beta)
        return weights

    def _anomalous(self, similarity: Tensor) -> Tensor:
        """Return ``(n,)`` bool: the rows that reach the first threshold that any row reaches."""
        for k in itertools.count():
            threshold = self.start - k * self.step
            if threshold < self.step / 2:  # 0, up to rounding
                return torch.zeros(len(similarity), dtype=torch.bool)
            if (reached := similarity >= threshold - 1e-9).any():
                return reached
        raise AssertionError("counting ends nowhere else")


def slices_of(layout: Sequence[tuple[str, tuple[int, ...]]], d: int) -> list[slice]:
    """Return where each tensor of a model lies in its ``d`` weights.

    Raises:
        UnfitRound: the tensors do not add up to d.
    """
    ends = list(itertools.accumulate(math.prod(shape) for _, shape in layout))
    if ends[-1] != d:
        raise UnfitRound(f"the layout has {ends[-1]} weights, the updates have {d}")
    return [slice(first, last) for first, last in itertools.pairwise([0, *ends])]


def layers_of(layout: Sequence[tuple[str, tuple[int, ...]]], d: int) -> list[slice]:
    """Return where each layer lies: its tensor, and what tensors of one number are beside it.

    Raises:
        UnfitRound: the tensors do not add up to d.
    """
    layers: list[slice] = []
    for tensor in slices_of(layout, d):
        if layers and 1 in (tensor.stop - tensor.start, layers[-1].stop - layers[-1].start):
            layers[-1] = slice(layers[-1].start, tensor.stop)
        else:
            layers.append(tensor)
    return layers
