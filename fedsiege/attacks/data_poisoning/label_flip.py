"""Label flipping: honest training on wrong labels."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from fedsiege.attacks.base import MNIST_DOMAIN, PoisoningAttack, Setting, registry
from fedsiege.attacks.data_poisoning.base import (
    Label,
    Share,
    choose,
    count,
    require_another,
    require_classes,
)
from fedsiege.errors import InvalidValue
from fedsiege.inputs import Domain
from fedsiege.seeding import generator
from fedsiege.training.base import Shard


@registry.register
@dataclass(frozen=True)
class LabelFlip(PoisoningAttack):
    r"""Train honestly, with the labels of some samples changed.

    The attackers hold data and change its labels; they know nothing of other updates (partial
    knowledge). They aim at wrong classes: of every sample, of those of one class, or without a
    target. With :math:`C` classes, label :math:`y` becomes by ``kind``:

    .. math::

        y \mapsto \begin{cases}
            C - 1 - y & \text{complement} \\
            \text{target} \quad \text{where } y = \text{source} & \text{pair} \\
            (y + k) \bmod C, \quad k \sim U\{1, \ldots, C - 1\} & \text{random}
        \end{cases}

    ``complement`` changes every label. ``pair`` leaves the samples of other classes alone.
    ``random`` takes one of the other :math:`C - 1` labels, each with the same probability.
    ``source`` and ``target`` are for ``pair`` alone. With a concentration below 1 a random share of
    the samples is changed, the same in every round.

    A published implementation takes :math:`(y + 1) \bmod 9`, which never gives 9 and sends 8 and 9
    to 0 and 1.

    Source:
        Battista Biggio, Blaine Nelson and Pavel Laskov, `Poisoning Attacks against Support Vector
        Machines <https://arxiv.org/abs/1206.6389>`_, ICML 2012, and of labels alone their `Support
        Vector Machines Under Adversarial Label Noise
        <https://proceedings.mlr.press/v20/biggio11.html>`_, ACML 2011. In federated learning:
        ``pair``, Vale Tolpegin, Stacey Truex, Mehmet Emre Gursoy and Ling Liu, `Data Poisoning
        Attacks Against Federated Learning Systems <https://arxiv.org/abs/2007.08432>`_, ESORICS
        2020; ``complement``, Minghong Fang, Xiaoyu Cao, Jinyuan Jia and Neil Zhenqiang Gong, `Local
        Model Poisoning Attacks to Byzantine-Robust Federated Learning
        <https://arxiv.org/abs/1911.11815>`_, USENIX Security 2020. ``random`` with a concentration
        is that of a study at IMCOM 2025, by its `code
        <https://github.com/soubihabdenour/fl_with_flower>`__.
    """

    name: ClassVar[str] = "label-flip"
    summary: ClassVar[str] = "honest training on flipped labels"

    kind: Annotated[
        Literal["complement", "pair", "random"],
        "how labels change: complement, y to C - 1 - y of C classes; pair, source to target; "
        "random, to any other",
    ] = "complement"
    source: Annotated[Label, "class whose samples kind=pair relabels"] = 7
    target: Annotated[Label, "class that kind=pair relabels them as"] = 1
    concentration: Annotated[
        Share,
        "share of an attacker's samples that are relabelled, of kind=pair of those of the "
        "source class; rounded, at least one",
    ] = 1.0

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        require_another(self, self.source, self.target)
        for name, default in (("source", LabelFlip.source), ("target", LabelFlip.target)):
            if self.kind != "pair" and getattr(self, name) != default:
                allowed = f"to be left alone with kind={self.kind}: only a pair has one"
                raise InvalidValue(f"label-flip:{name}", getattr(self, name), allowed)

    def check(self, setting: Setting) -> None:
        """Raise InvalidValue if kind=pair names a class that the data set does not have."""
        super().check(setting)
        if self.kind == "pair":
            require_classes(self, setting.inputs, "source", "target")

    @property
    def targeted(self) -> bool:
        """Random labels have no target."""
        return self.kind != "random"

    def poison(
        self, shard: Shard, participant: int, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> Shard:
        """Return the same images with some labels changed."""
        labels, classes = shard.labels.clone(), domain.inputs.classes
        concerned = self._concerned(labels).nonzero().flatten()
        number = count(len(concerned), self.concentration)
        chosen = choose(concerned, number, seed, participant)
        if self.kind == "random":
            draw = generator(seed, "random labels", 0, participant)
            # one for each sample, so that the concentration does not change what a label becomes
            shift = torch.from_numpy(draw.integers(1, classes, len(shard))).to(labels)
            labels[chosen] = (labels[chosen] + shift[chosen]) % classes
        else:
            labels[chosen] = self._flip(labels[chosen], classes)
        return Shard(shard.images, labels)

    def probe(
        self, images: Tensor, labels: Tensor, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> tuple[Tensor, Tensor]:
        """Return the inputs it concerns as they are, and what they shall be taken for."""
        if not self.targeted:
            return super().probe(images, labels, seed, domain)
        concerned = self._concerned(labels)
        return images[concerned], self._flip(labels[concerned], domain.inputs.classes)

    def _concerned(self, labels: Tensor) -> Tensor:
        return labels == self.source if self.kind == "pair" else torch.ones_like(labels).bool()

    def _flip(self, labels: Tensor, classes: int) -> Tensor:
        if self.kind == "pair":
            return torch.full_like(labels, self.target)
        return classes - 1 - labels
