"""FLTrust: trust in the direction that clean samples of the aggregator's own point to."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from fedsiege.errors import InvalidValue
from fedsiege.numerics.cosines import products_with
from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import Aggregation, Rule, keep_model, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.root_data import RootData
from fedsiege.training import optimiser


@registry.register
@dataclass(frozen=True)
class FLTrust(Rule):
    r"""The mean of the updates at one length, weighted by their similarity to a clean update.

    .. math::
        \frac{1}{\sum_i T_i} \sum_{i=1}^n T_i\, \frac{\lVert g_0 \rVert}{\lVert g_i \rVert}\, g_i,
        \qquad T_i = \max\big( 0, \cos(g_i, g_0) \big)

    where :math:`g_0` is what training on the aggregator's own ``root`` clean samples gives, from
    the same global model and by the same local training as the participants'. Every row is brought
    to its norm. Where no row is trusted, or :math:`g_0` is 0 or not finite, the model is kept: an
    update of zeros, no row accepted. (Some public code falls back to the mean where all trust is
    0.)

    It needs the clean samples, the global model and its architecture; there is no condition on n.
    Cost: :math:`O(n d)` and the training. The paper has 100 clean samples.

    It holds against MPAF, and against PoisonedFL as far as tried: 94.3 % on MNIST after 60 rounds
    and 96.6 % at round 165 (1440 participants, 2.5 % of them drawn a round, iid). The 10.15 % that
    is published for FLTrust under PoisonedFL, in the table of `089487/SpecGuard-Defense
    <https://github.com/089487/SpecGuard-Defense>`_, is of code that weighs by trust and does not
    rescale to :math:`\lVert g_0 \rVert`, so that the length of an update stays its sender's choice.
    More than 165 rounds, and data that are not iid, have not been tried.

    Source:
        Xiaoyu Cao, Minghong Fang, Jia Liu, Neil Zhenqiang Gong. `FLTrust: Byzantine-robust
        Federated Learning via Trust Bootstrapping <https://arxiv.org/abs/2012.13995>`_. NDSS 2021,
        algorithm 2.
    """

    name: ClassVar[str] = "fltrust"
    summary: ClassVar[str] = (
        "mean weighted by similarity to an update trained on the aggregator's clean samples"
    )
    accuses: ClassVar[bool] = True
    trusting: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("root", "model", "architecture")

    root: Annotated[int, Ge(1), "number of clean samples that the aggregator holds"] = 100
    lr: Annotated[float, Gt(0), "learning rate of the aggregator's own training"] = 0.001
    momentum: Annotated[float, Ge(0), Lt(1), "momentum of that training; 0 with adam"] = 0.9
    epochs: Annotated[int, Ge(1), "epochs of the aggregator's own training"] = 2
    batch: Annotated[int, Ge(1), "batch size of that training"] = 4
    optimizer: Annotated[Literal["sgd", "adam"], "optimiser of that training"] = "sgd"

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        try:
            self._optimiser()
        except InvalidValue as error:
            raise InvalidValue(f"{self.name}:{error.name}", error.value, error.allowed) from None

    @property
    def root_samples(self) -> int:
        """How many clean samples the aggregator has to hand in."""
        return self.root

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; the scores are ``T_i``. It needs root samples, model and architecture."""
        return trusting(updates, RootData(context, updates.shape[1]).update(self._optimiser()))

    def _optimiser(self) -> optimiser.LocalOptimiser:
        """Return what participants train with."""
        return optimiser.create(self.optimizer, self.lr, self.momentum, self.epochs, self.batch)


def trusting(updates: Tensor, root_update: Tensor) -> Aggregation:
    """Aggregate with ``(d,)`` a root update ``g_0``."""
    norms = row_norms(updates)
    [length] = row_norms(root_update[None])
    if not (length > 0 and length.isfinite()):
        return keep_model(updates, torch.zeros(len(updates), dtype=torch.float64))
    products = products_with(updates, root_update)
    trust = torch.where(norms > 0, products / (norms * length), 0.0).clamp(0, 1)
    if not trust.any():
        return keep_model(updates, trust)
    weights = torch.where(trust > 0, trust * length / norms, 0.0)
    return Aggregation(weighted_mean(updates, weights, trust), trust > 0, trust)
