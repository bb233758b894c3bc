"""Label flipping: honest training on wrong labels."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from fedsiege.attacks.base import PoisoningAttack, registry
from fedsiege.attacks.data_poisoning.classes import CLASSES, require_another, require_class
from fedsiege.attacks.data_poisoning.concentration import choose, count, require_share
from fedsiege.attacks.data_poisoning.targeted import Targeted
from fedsiege.errors import InvalidValue
from fedsiege.seeding import generator
from fedsiege.training.base import Shard

KINDS = ("complement", "pair", "random")


@registry.register
@dataclass(frozen=True)
class LabelFlip(PoisoningAttack, Targeted):
    """Every attacker trains as told, with the labels of some of its samples changed.

    With C = 10 classes, label y becomes by ``kind``::

        complement:  C - 1 - y, for every y
        pair:        target, where y = source; the other samples are left alone
        random:      one of the other C - 1 labels, each with the same probability

    Args:
        kind: ``complement``, ``pair`` or ``random``.
        source: the class of which ``pair`` changes samples, 0 to 9; the others have no use for it.
        target: what they become, 0 to 9, not the source; likewise.
        concentration: in (0, 1], the share of an attacker's samples that are changed, of ``pair``
            the share of those of the source class; rounded, and one at least.

    Raises:
        InvalidValue: a parameter is out of its range, or has no effect with this kind.

    Source: Biggio, Nelson and Laskov, Poisoning attacks against support vector machines, ICML 2012;
    in federated learning Tolpegin et al., ESORICS 2020 (pair), Fang et al., USENIX Security 2020
    (complement); random with a concentration as in the study of science.md, section 4. A published
    implementation takes (y + 1) % 9, which never gives 9 and sends 8 and 9 to 0 and 1.
    """

    name: ClassVar[str] = "label-flip"
    summary: ClassVar[str] = "trains on flipped labels: complement, a pair, or random others"

    kind: str = "complement"
    source: int = 7
    target: int = 1
    concentration: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidValue("label-flip:kind", self.kind, " or ".join(KINDS))
        require_class(self, "source")
        require_class(self, "target")
        require_another(self, self.source, self.target)
        for name, default in (("source", LabelFlip.source), ("target", LabelFlip.target)):
            if self.kind != "pair" and getattr(self, name) != default:
                allowed = f"to be left alone with kind={self.kind}: only a pair has one"
                raise InvalidValue(f"label-flip:{name}", getattr(self, name), allowed)
        require_share(self, "concentration")

    @property
    def targeted(self) -> bool:
        """Random labels have no target."""
        return self.kind != "random"

    def poison(self, shard: Shard, participant: int, seed: int) -> Shard:
        """Return the same images with some labels changed."""
        labels = shard.labels.clone()
        concerned = self._concerned(labels).nonzero().flatten()
        number = count(len(concerned), self.concentration)
        chosen = choose(concerned, number, seed, participant)
        if self.kind == "random":
            draw = generator(seed, "random labels", 0, participant)
            # one for each sample, so that the concentration does not change what a label becomes
            shift = torch.from_numpy(draw.integers(1, CLASSES, len(shard))).to(labels)
            labels[chosen] = (labels[chosen] + shift[chosen]) % CLASSES
        else:
            labels[chosen] = self._flip(labels[chosen])
        return Shard(shard.images, labels)

    def probe(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return the inputs it concerns as they are, and what they shall be taken for."""
        if self.kind == "random":
            return images[:0], labels[:0]
        concerned = self._concerned(labels)
        return images[concerned], self._flip(labels[concerned])

    def _concerned(self, labels: Tensor) -> Tensor:
        return labels == self.source if self.kind == "pair" else torch.ones_like(labels).bool()

    def _flip(self, labels: Tensor) -> Tensor:
        if self.kind == "pair":
            return torch.full_like(labels, self.target)
        return CLASSES - 1 - labels
