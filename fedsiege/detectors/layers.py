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
    """Updates that equal those of others in many layers, and may differ in the rest.

    LayerGuard's layer-wise similarity ``LCSS_il`` is the mean cosine of participant i to its
    ``neighbours`` most similar others in layer l. With ``s_il = (1 - cosine) / (1 - LCSS_il)`` in
    the layers in which that is in force (see ``duplicate``) and 0 in others, the score is the one
    that i reaches in at least ``share`` of the L layers: the ``ceil(share L)``-th largest.
    LayerGuard's own threshold falls until some participant reaches it; this one is fixed.

    A layer is a tensor of the model, weights and biases apart; a tensor of one number belongs to
    the layer beside it, as there.

    Wang et al., *LayerGuard: Poisoning-Resilient Federated Learning via Layer-Wise Similarity
    Analysis*, NeurIPS 2025, section 3.3, for the similarity.
    """

    name: ClassVar[str] = "layers"
    summary: ClassVar[str] = "flags updates that equal those of others in many layers"

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
        context.require(self.name, "layout")
        similarity = LayerGuard(neighbours=self.neighbours).similarity
        gaps = [1 - similarity(updates[:, s]) for s in layers_of(context.layout, updates.shape[1])]
        scores = torch.stack([likeness(gap, 1 - self.cosine) for gap in gaps])
        enough = math.ceil(self.share * len(scores))
        return scores.sort(dim=0, descending=True).values[enough - 1], None
