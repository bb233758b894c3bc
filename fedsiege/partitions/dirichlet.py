"""Disjoint shares with class proportions from a Dirichlet distribution."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from fedsiege import seeding
from fedsiege.partitions.base import PURPOSE, Indices, Labels, Partition, check_enough, registry


@registry.register
@dataclass(frozen=True)
class Dirichlet(Partition):
    r"""Deal disjoint shares with skewed labels; the smaller alpha, the more skewed.

    With ``samples``, participant :math:`i` draws class proportions :math:`q_i`; with ``samples=0``,
    each class :math:`c` is cut into pieces of proportions :math:`p_c`, one for each participant:

    .. math::

        q_i \sim \operatorname{Dir}(\alpha, \ldots, \alpha) \text{ over the classes}, \qquad
        p_c \sim \operatorname{Dir}(\alpha, \ldots, \alpha) \text{ over the participants}

    :math:`q_i`: the participant draws its samples from the classes in these proportions, without
    replacement. Where a class is used up, :math:`q_i` is renormalised over the others. The expected
    class proportions are equal. The order in which the participants draw is drawn too.

    :math:`p_c`: shares differ in size, and a participant without any is given one sample of the
    largest share.

    At :math:`\alpha = 0.1` and ten equal classes, the largest class holds on average 0.67 of a
    participant with ``samples``, 0.6 to 0.67 with ``samples=0`` (the more participants, the more),
    and 0.9 to 0.95 under ``dirichlet-prior``.

    Source:
        ``samples=0``: Mikhail Yurochkin, Mayank Agarwal, Soumya Ghosh, Kristjan Greenewald, Trong
        Nghia Hoang and Yasaman Khazaeni, `Bayesian Nonparametric Federated Learning of Neural
        Networks <https://arxiv.org/abs/1905.12022>`_, ICML 2019. With ``samples`` it is the way of
        ``dirichlet-prior``, from a symmetric distribution.
    """

    name = "dirichlet"
    summary = "disjoint shares with class proportions from Dir(ALPHA, .., ALPHA)"

    positional = "alpha"

    alpha: Annotated[
        float, Ge(1e-6), Le(1e6), "concentration: 0.1 is very skewed, 100 nearly uniform"
    ] = 0.5

    def assign(
        self,
        labels: Labels,
        participants: int,
        samples: int,
        seed: int,
        groups: Labels | None = None,
    ) -> Sequence[Indices]:
        """Share out the samples."""
        self.check_samples(samples)
        check_enough(labels, participants, samples)
        rng = seeding.generator(seed, PURPOSE)
        piles = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
        if samples == 0:
            shares = self._cut(piles, participants, rng)
        else:
            order = self._order(participants, rng)
            dealt = self._deal(piles, participants, samples, rng)
            shares = [dealt[turn] for turn in np.argsort(order)]
        return [rng.permutation(share) for share in shares]

    def _order(self, participants: int, rng: np.random.Generator) -> Indices:
        """Return the participants in the order in which samples are dealt to them.

        It is drawn because the last get what is left of the classes, and an index must not show
        that.
        """
        return rng.permutation(participants)

    def _concentrations(self, prior: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the parameters of a participant's Dirichlet distribution, one per class."""
        return np.full_like(prior, self.alpha)

    def _deal(
        self, piles: list[Indices], participants: int, samples: int, rng: np.random.Generator
    ) -> list[Indices]:
        """Deal the same number of samples to each participant, from the top of the piles."""
        left = np.array([len(pile) for pile in piles])
        concentrations = self._concentrations(left / left.sum())
        shares = []
        for _ in range(participants):
            taken = _draw_counts(rng.dirichlet(concentrations), left, samples, rng)
            shares.append(
                np.concatenate(
                    [pile[n - t : n] for pile, n, t in zip(piles, left, taken, strict=True)]
                )
            )
            left = left - taken
        return shares

    def _cut(
        self, piles: list[Indices], participants: int, rng: np.random.Generator
    ) -> list[Indices]:
        """Cut each pile over all participants."""
        pieces = []
        for pile in piles:
            proportions = rng.dirichlet(np.full(participants, self.alpha))
            cuts = np.rint(np.cumsum(proportions)[:-1] * len(pile)).astype(np.int64)
            pieces.append(np.split(pile, cuts))
        shares = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
        sizes = np.array([len(share) for share in shares])
        for empty in np.flatnonzero(sizes == 0):
            largest = int(sizes.argmax())
            shares[empty], shares[largest] = shares[largest][:1], shares[largest][1:]
            sizes[largest] -= 1
        return shares


@registry.register
@dataclass(frozen=True)
class DirichletPrior(Dirichlet):
    r"""Deal disjoint shares of one size, with class proportions around those of the whole set.

    .. math::

        q_i \sim \operatorname{Dir}(\alpha \, p_1, \ldots, \alpha \, p_C)

    :math:`q_i` are the class proportions of participant :math:`i` and :math:`p_1, \ldots, p_C` the
    frequencies of the classes in the set, the prior. The parameters of the distribution add up to
    :math:`\alpha`, whatever the number of classes: with ten equal classes ``dirichlet-prior:1``
    draws what ``dirichlet:0.1`` draws. Participants draw in the order of their indices, so that the
    last get what is left where nearly the whole set is dealt out. ``samples=0`` is refused. All
    else is as in ``dirichlet``.

    Source:
        Tzu-Ming Harry Hsu, Hang Qi and Matthew Brown, `Measuring the Effects of Non-Identical Data
        Distribution for Federated Visual Classification <https://arxiv.org/abs/1909.06335>`_, arXiv
        2019, section 3.1.
    """

    name = "dirichlet-prior"
    summary = "disjoint shares with class proportions from Dir(ALPHA * class frequencies)"
    shares_out_all = False

    def _concentrations(self, prior: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the parameters of a participant's Dirichlet distribution, one per class."""
        return self.alpha * prior

    def _order(self, participants: int, rng: np.random.Generator) -> Indices:
        """Return the participants by index, as in the results that this drawing repeats."""
        return np.arange(participants)


def _draw_counts(
    proportions: npt.NDArray[np.float64],
    left: npt.NDArray[np.int64],
    samples: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw how many samples to take of each class, none beyond what is left of it."""
    taken = np.zeros_like(left)
    while (missing := samples - int(taken.sum())) > 0:
        weights = np.where(taken < left, proportions, 0)
        if weights.sum() == 0:  # the classes left had no share: take them as they come
            weights = (left - taken).astype(np.float64)
        drawn = rng.multinomial(missing, weights / weights.sum())
        taken = np.minimum(taken + drawn, left)
    return taken
