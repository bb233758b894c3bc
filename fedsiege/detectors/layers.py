"""Updates that equal another participant's in layer after layer."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from fedsiege.detectors.base import Detector, registry
from fedsiege.detectors.duplicate import likeness
from fedsiege.rules.context import RoundContext
from fedsiege.rules.layerguard import LayerGuard, layers_of


@registry.register
@dataclass(frozen=True)
class Layers(Detector):
    r"""Flags updates that equal those of others in many layers, and may differ in the rest.

    .. math::
        s_{il} = \frac{1 - c}{\max(1 - \mathrm{LCSS}_{il}, 10^{-6})}, \qquad
        s_i = \text{the } \lceil q L \rceil \text{-th largest of } s_{i1}, \ldots, s_{iL}

    where LayerGuard's layer-wise similarity :math:`\mathrm{LCSS}_{il}` is the mean cosine of
    participant i to its ``neighbours`` most similar others in layer l, c is the parameter
    ``cosine``, q the parameter ``share`` and L the number of layers. In layers in which the test is
    not in force (see ``duplicate``), :math:`s_{il}` is 0. So the score is the one that i reaches in
    at least a share q of the layers. LayerGuard's own threshold falls until some participant
    reaches it; this one is fixed.

    A layer is a tensor of the model, weights and biases apart; a tensor of one number belongs to
    the layer beside it, as there. It needs the layout of the model. Cost: :math:`O(n^2 d)`.

    Source:
        FedSiege, see :doc:`/detectors`. The similarity is that of Kaiqi Wang, Jiangang Shu,
        Qingfeng Tan, Bo Hu. `LayerGuard: Poisoning-Resilient Federated Learning via Layer-Wise
        Similarity Analysis <https://openreview.net/forum?id=InyYuWLWHD>`_. NeurIPS 2025, section
        3.3.
    """

    name: ClassVar[str] = "layers"
    summary: ClassVar[str] = "flags updates that equal those of others in many layers"
    needs: ClassVar[tuple[str, ...]] = ("layout",)

    neighbours: Annotated[
        int,
        Ge(1),
        "number of most similar participants that a similarity is the mean of; fewer if there "
        "are not that many",
    ] = 2
    cosine: Annotated[float, Gt(0), Le(1 - 1e-06), "least similarity that is flagged"] = 0.99999
    share: Annotated[
        float, Gt(0), Le(1), "share of the layers in which an update must be alike"
    ] = 0.5

    @property
    def least(self) -> int:
        """Two: a single update is like no other."""
        return 2

    def judge(
        self, updates: Tensor, context: RoundContext, state: object | None
    ) -> tuple[Tensor, None]:
        """Score the updates; nothing is remembered. It needs the layout."""
        similarity = LayerGuard(neighbours=self.neighbours).similarity
        gaps = [1 - similarity(updates[:, s]) for s in layers_of(context.layout, updates.shape[1])]
        scores = torch.stack([likeness(gap, 1 - self.cosine) for gap in gaps])
        enough = math.ceil(self.share * len(scores))
        return scores.sort(dim=0, descending=True).values[enough - 1], None
