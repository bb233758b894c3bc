"""How often an attacker gets what it wants: the attack success rate."""

import threading

import torch
from torch import Tensor

from fedsiege import models
from fedsiege.attacks.base import Attack
from fedsiege.datasets import Dataset
from fedsiege.errors import InvalidValue

#: Samples at a time, as in fedsiege/training/evaluation.py.
_BATCH = 100


def measurable(attack: Attack) -> bool:
    """Return whether an attack has a target, so that its success is a number."""
    return attack.targeted


class AttackSuccess:
    """Attack success rate of weights: the share of an attack's inputs classified as its target.

    The inputs are made once, of held-out ones whose true label is not the target. Memory beyond
    them is bounded by one batch. Calls from several threads take turns.

    Args:
        model_name: the model.
        attack: one with a target, see ``measurable``.
        data: the data set, whose held-out part is taken.
        seed: the run's seed.
        device: where to compute, "cpu" or "cuda".

    Raises:
        InvalidValue: unknown model, an attack without a target, or no input that it could be tried
            on, for instance none of its source class.
    """

    def __init__(
        self,
        model_name: str,
        attack: Attack,
        data: Dataset,
        seed: int,
        device: str = "cpu",
    ) -> None:
        if not attack.targeted:
            raise InvalidValue("attack", attack.name, "one with a target, to measure its success")
        truth = torch.from_numpy(data.test_labels)
        held_out = data.tensor(data.test_samples)
        probe, targets = attack.probe(held_out, truth, seed, data.domain)
        if len(probe) == 0:
            allowed = f"{attack.name} needs held-out inputs that it can be tried on"
            raise InvalidValue("labels", sorted(set(data.test_labels.tolist())), allowed)
        self._module = models.Classifier(model_name, data.inputs).create().to(device).eval()
        self._images, self._targets = probe.to(device), targets.to(device)
        self._turn = threading.Lock()

    def __call__(self, weights: Tensor) -> float:
        """Return the attack success rate of weights ``(d,)``, 0 to 1.

        A sample with a NaN among its logits is no success.

        Raises:
            InvalidValue: the weights have another shape.
        """
        hits = torch.zeros((), dtype=torch.int64, device=self._targets.device)
        with self._turn, torch.inference_mode():
            models.unflatten_into(self._module, weights)
            for start in range(0, len(self._targets), _BATCH):
                batch = slice(start, start + _BATCH)
                logits = self._module(self._images[batch])
                defined = ~logits.isnan().any(dim=1)
                hits += ((logits.argmax(dim=1) == self._targets[batch]) & defined).sum()
        return int(hits) / len(self._targets)
