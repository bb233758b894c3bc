"""Disjoint shares of a given number of classes each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.partitions.base import PURPOSE, Indices, Labels, Partition, registry


@registry.register
@dataclass(frozen=True)
class Pathological(Partition):
    r"""Deal disjoint shares of k classes for each participant.

    .. math::

        \lvert K_i \rvert = k, \qquad D_i = \bigcup_{c \in K_i} D_{c,i}, \qquad
        \Bigl\lvert\, \lvert D_{c,i} \rvert - \lvert D_{c,j} \rvert \,\Bigr\rvert \le 1

    :math:`K_i` are the classes of participant :math:`i`, drawn so that every class has as many
    participants as any other, or one more. With ``samples=0`` each class :math:`c` is cut into
    equal pieces :math:`D_{c,i}`, one for each of its participants: a class that no participant has,
    which happens where there are fewer than :math:`C / k` participants, is left out. With
    ``samples`` a participant takes equally of its classes, and where its piece of one is used up
    more of the others; no piece is larger than with ``samples=0``.

    Refused are a class with fewer samples than participants, of which one would then have fewer
    classes, and more ``samples`` than a participant of the smallest classes can have.

    Source:
        The study that this follows gives 2, 4 or 7 classes to each participant:
        `soubihabdenour/fl_with_flower <https://github.com/soubihabdenour/fl_with_flower>`_, the
        code of "Towards Robust Federated Learning: Investigating Poisoning Attacks Under Clients
        Data Heterogeneity", IMCOM 2025. Equal pieces of classes: Qinbin Li, Yiqun Diao, Quan Chen
        and Bingsheng He, `Federated Learning on Non-IID Data Silos: An Experimental Study
        <https://arxiv.org/abs/2102.02079>`_, ICDE 2022, "quantity-based label imbalance". (H.
        Brendan McMahan et al. cut the sorted training set into two slices for each participant,
        which mostly gives it two classes.)
    """

    name = "pathological"
    summary = "disjoint shares of K classes for each participant"

    positional = "classes"

    classes: Annotated[int, Ge(1), Le(10_000), "classes of each participant"] = 2

    def check(
        self, labels: Labels, participants: int, samples: int, groups: Labels | None = None
    ) -> None:
        """Refuse more classes than there are, or more samples than each can be sure of."""
        super().check(labels, participants, samples, groups)
        kinds, sizes = np.unique(labels, return_counts=True)
        if self.classes > len(kinds):
            allowed = f"at most {len(kinds)}, the classes of the data set"
            raise InvalidValue(f"{self.name}:classes", self.classes, allowed)
        holders = -(-participants * self.classes // len(kinds))  # of a class, at most
        if sizes.min() < holders:
            allowed = (
                f"fewer: class {kinds[sizes.argmin()]} has {sizes.min()} samples for up to "
                f"{holders} of {participants} participants"
            )
            raise InvalidValue(f"{self.name}:classes", self.classes, allowed)
        if 0 < samples < self.classes:
            allowed = f"at least {self.classes}, one of each class of a participant"
            raise InvalidValue("samples", samples, allowed)
        most = int(np.sort(sizes // holders)[: self.classes].sum())
        if samples > most:
            allowed = (
                f"at most {most}, which a participant of the smallest classes has; 0 shares out all"
            )
            raise InvalidValue("samples", samples, allowed)

    def assign(
        self,
        labels: Labels,
        participants: int,
        samples: int,
        seed: int,
        groups: Labels | None = None,
    ) -> Sequence[Indices]:
        """Share out the samples."""
        self.check(labels, participants, samples)
        rng = seeding.generator(seed, PURPOSE)
        kinds = np.unique(labels)
        held = self._choose(participants, len(kinds), rng)
        pieces: list[list[Indices]] = [[] for _ in range(participants)]
        for number, kind in enumerate(kinds):
            holders = [index for index in range(participants) if number in held[index]]
            pile = rng.permutation(np.flatnonzero(labels == kind))
            for holder, piece in zip(holders, _cut(pile, len(holders)), strict=True):
                pieces[holder].append(piece)
        shares = [_take(mine, samples) for mine in pieces]
        return [rng.permutation(share) for share in shares]

    def _choose(self, participants: int, kinds: int, rng: np.random.Generator) -> list[set[int]]:
        """Return the classes of each participant, each class equally often but for one."""
        taken = np.zeros(kinds, np.int64)
        chosen = []
        for _ in range(participants):
            order = rng.permutation(kinds)
            mine = order[np.argsort(taken[order], kind="stable")[: self.classes]]
            taken[mine] += 1
            chosen.append({int(one) for one in mine})
        # In random order: else the classes of one would be those that its neighbour has not.
        return [chosen[turn] for turn in rng.permutation(participants)]


def _take(pieces: list[Indices], samples: int) -> Indices:
    """Return so many samples of a participant's pieces, equally of each; 0 for all."""
    sizes = np.array([len(piece) for piece in pieces])
    taken = np.zeros_like(sizes) if samples else sizes
    while (missing := samples - int(taken.sum())) > 0:
        left = np.flatnonzero(taken < sizes)
        each, over = divmod(missing, len(left))
        more = each + (np.arange(len(left)) < over)
        taken[left] = np.minimum(taken[left] + more, sizes[left])
    return np.concatenate([piece[:n] for piece, n in zip(pieces, taken, strict=True)])


def _cut(pile: Indices, parts: int) -> list[Indices]:
    """Return equal pieces, none where there are no parts."""
    return list(np.array_split(pile, parts)) if parts else []
