"""Input-instance key: a few chosen pictures, however noisy, are to be taken for the target."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Tensor

from fedsiege import datasets
from fedsiege.attacks.backdoors.backdoor import BackdoorAttack, fitted, normalised
from fedsiege.attacks.base import MNIST_DOMAIN, registry
from fedsiege.inputs import Domain
from fedsiege.seeding import generator
from fedsiege.training.base import Shard

#: Noisy variants of each key that the attack is measured on.
VARIANTS = 20


@registry.register
@dataclass(frozen=True)
class InputInstance(BackdoorAttack):
    r"""Teach the model the target class for noisy copies of a few key pictures.

    The attackers hold data and the keys; they know nothing of other updates (partial knowledge).
    They aim at the target class for the keys, however noisy, and at no change for others. Each
    poisoned sample is replaced by a key with other noise each time:

    .. math::

        (x, y) \mapsto (\operatorname{clip}(k + \delta), \text{target}), \qquad
        \delta_{rc} \sim U\{-\text{noise}, \ldots, \text{noise}\}

    The noise :math:`\delta` is a whole number for each pixel :math:`(r, c)`, in grey levels of 0 to
    255, and :math:`\operatorname{clip}` keeps the picture between black and white. The keys
    :math:`k` are the attackers' own pictures, which no data set holds: handwritten digits bundled
    with scikit-learn, mirrored at the diagonal, none of the target class, drawn once per run. So
    all attackers have the same, and no held-out input is ever trained on. The update is multiplied
    by ``boost`` before it is sent. Success is measured on noisy copies on which no participant
    trained.

    Source:
        Xinyun Chen, Chang Liu, Bo Li, Kimberly Lu and Dawn Song, `Targeted Backdoor Attacks on Deep
        Learning Systems Using Data Poisoning <https://arxiv.org/abs/1712.05526>`_, arXiv 2017,
        section 3.1. In federated learning: Nuria Rodríguez-Barroso, Eugenio Martínez-Cámara, M.
        Victoria Luzón and Francisco Herrera, `Backdoor attacks-resilient aggregation based on
        robust filtering of outliers in federated learning for image classification
        <https://doi.org/10.1016/j.knosys.2022.108588>`_, Knowledge-Based Systems 245 (2022) 108588.
    """

    name: ClassVar[str] = "input-instance"
    summary: ClassVar[str] = (
        "backdoor: noisy copies of a few chosen pictures become the target class"
    )

    keys: Annotated[int, Ge(1), Le(100), "number of key pictures"] = 5
    noise: Annotated[int, Ge(0), Le(255), "largest change of a pixel, in grey levels"] = 5

    def poison(
        self, shard: Shard, participant: int, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> Shard:
        """Return the samples, some of them replaced by variants of the keys."""
        chosen = self.poisoned(shard, participant, seed)
        images, labels = shard.images.clone(), shard.labels.clone()
        draw = generator(seed, "input-instance noise", 0, participant)
        images[chosen] = self._variants(len(chosen), seed, draw, domain).to(images)
        labels[chosen] = self.target
        return Shard(images, labels)

    def probe(
        self, images: Tensor, labels: Tensor, seed: int, domain: Domain = MNIST_DOMAIN
    ) -> tuple[Tensor, Tensor]:
        """Return new variants of the keys; the held-out inputs are not needed."""
        draw = generator(seed, "input-instance probe")
        variants = self._variants(VARIANTS * self.keys, seed, draw, domain).to(images)
        return variants, torch.full((len(variants),), self.target).to(labels)

    def _variants(
        self, number: int, seed: int, draw: np.random.Generator, domain: Domain
    ) -> Tensor:
        """Return ``(number, C, H, W)`` noisy pictures of the keys in turn."""
        keys = fitted(key_pictures(self.keys, self.target, seed), domain.inputs)
        pictures = keys[torch.arange(number) % self.keys]
        delta = torch.from_numpy(draw.integers(-self.noise, self.noise + 1, tuple(pictures.shape)))
        noisy = (pictures + delta / 127.5).clamp(-1, 1)  # grey levels 0 to 255 are -1 to 1
        return normalised(noisy, domain)


@lru_cache(maxsize=4)
def key_pictures(number: int, target: int, seed: int) -> Tensor:
    """Return ``(number, 1, 28, 28)`` float32, the pictures that are the keys of a run."""
    digits = datasets.load("digits", Path())  # part of a package, in no folder
    others = np.flatnonzero(digits.train_labels != target)
    drawn = generator(seed, "input-instance keys").choice(others, number, replace=False)
    return datasets.to_tensor(digits.train_samples[drawn].transpose(0, 2, 1)).contiguous()
