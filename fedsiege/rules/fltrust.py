"""FLTrust: trust in the direction that clean samples of the aggregator's own point to."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.errors import InvalidValue
from fedsiege.numerics.cosines import products_with
from fedsiege.numerics.means import weighted_mean
from fedsiege.numerics.norms import row_norms
from fedsiege.ranges import require_number
from fedsiege.rules.base import Aggregation, Rule, keep_model, registry, require_whole_number
from fedsiege.rules.context import RoundContext
from fedsiege.rules.root_data import RootData
from fedsiege.training import optimiser


@registry.register
@dataclass(frozen=True)
class FLTrust(Rule):
    """``sum_i T_i (||g_0|| / ||g_i||) g_i / sum_i T_i`` with ``T_i = ReLU(cos(g_i, g_0))``.

    ``g_0`` is what training on the root samples gives, from the same global model and by the same
    local training as the participants'. Every row is brought to its norm. Where nobody is trusted,
    or ``g_0`` is 0 or not finite, the model is kept: an update of zeros, nobody accepted.

    Cao et al., *FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping*, NDSS 2021,
    algorithm 2. (Seen: code that falls back to the mean where all trust is 0.)

    It holds against MPAF, and against PoisonedFL as far as tried: 94.3 % on MNIST after 60 rounds
    and 96.6 % at round 165 (1440 participants, 2.5 % of them drawn a round, iid).
    The 10.15 % that is published for FLTrust under PoisonedFL, in the table of
    089487/SpecGuard-Defense, is of code that weighs by trust and does not rescale to ``||g_0||``,
    so that the length of an update stays its sender's choice. More than 165 rounds, and data that
    are not iid, have not been tried.

    Args:
        root: how many root samples, 1 or more; 100 in the paper.
        lr: learning rate of the participants' training, above 0.
        momentum: theirs, 0 or more, below 1; 0 with ``adam``.
        epochs: theirs, 1 or more.
        batch: theirs, 1 or more.
        optimizer: theirs, ``sgd`` or ``adam``.
    """

    name: ClassVar[str] = "fltrust"
    summary: ClassVar[str] = "weights by the cosine with an update from clean root samples"
    accuses: ClassVar[bool] = True
    trusting: ClassVar[bool] = True

    root: int = 100
    lr: float = 0.001
    momentum: float = 0.9
    epochs: int = 2
    batch: int = 4
    optimizer: str = "sgd"

    def __post_init__(self) -> None:
        require_whole_number(f"{self.name}:root", self.root, least=1)
        require_whole_number(f"{self.name}:epochs", self.epochs, least=1)
        require_whole_number(f"{self.name}:batch", self.batch, least=1)
        require_number(f"{self.name}:lr", self.lr, above=0)
        require_number(f"{self.name}:momentum", self.momentum, least=0, below=1)
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
        context.require(self.name, "root", "model", "architecture")
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
