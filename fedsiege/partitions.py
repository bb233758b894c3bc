"""Partitions: how the training samples are divided among the participants.

Every worker computes the same shares from (labels, participants, samples, seed) and takes those of
the participants it hosts. Fake clients have shares too, which are not used.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, overload

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from fedsiege import seeding
from fedsiege.errors import InvalidValue
from fedsiege.registry import Component, Registry, spell

Labels = npt.NDArray[np.int64]
#: Positions in the training set, int64.
Indices = npt.NDArray[np.int64]

_PURPOSE = "partition"


class Partition(Component, abc.ABC):
    """Base of all partitions. ``str(partition)`` is what ``parse`` reads back."""

    #: Whether it can share out all there are, ``samples=0``.
    shares_out_all: ClassVar[bool] = True

    def __str__(self) -> str:
        return spell(self)

    def check_samples(self, samples: int) -> None:
        """Refuse a number of samples that this partition cannot give.

        Raises:
            InvalidValue: it is 0, and this partition does not share out all there are.
        """
        if samples == 0 and not self.shares_out_all:
            able = " and ".join(one.name for one in registry if one.shares_out_all)
            allowed = f"partition {self.name} needs 1 or more; {able} share out all there are"
            raise InvalidValue("samples", samples, allowed)

    def check(self, labels: Labels, participants: int, samples: int) -> None:
        """Refuse what ``assign`` would, at once; sharing out takes longer.

        Raises:
            InvalidValue: there are not enough samples, or this partition cannot do it.
        """
        _check_enough(labels, participants, samples)
        self.check_samples(samples)

    @abc.abstractmethod
    def assign(
        self, labels: Labels, participants: int, samples: int, seed: int
    ) -> Sequence[Indices]:
        """Share out the samples.

        Args:
            labels: ``(N,)``, the labels of the training set.
            participants: how many there are, 1 or more.
            samples: how many each gets; 0 for all there are, shared out.
            seed: the run's seed.

        Returns:
            By participant index, the positions in ``labels`` of its samples, in random order.

        Raises:
            InvalidValue: there are not enough samples, or this partition cannot do it.
        """


registry: Registry[Partition] = Registry("partition")


def names() -> list[str]:
    """Return the names of all partitions in alphabetical order."""
    return registry.names()


def parse(text: str) -> Partition:
    """Create a partition from text: ``sample``, ``iid``, ``dirichlet:0.5``.

    Raises:
        InvalidValue: unknown name, or a parameter that is out of range or not taken.
    """
    return registry.parse(text)


@registry.register
@dataclass(frozen=True)
class Sample(Partition):
    r"""Let each participant draw from the whole set, with replacement.

    .. math::

        D_i = (j_1, \ldots, j_S), \qquad j_k \sim U\{1, \ldots, N\}

    :math:`D_i` are the samples of participant :math:`i`, :math:`S` of them as set by ``samples``,
    out of the :math:`N` of the training set. Participants may share samples, and one may have a
    sample twice; ``samples=0`` is refused, since drawing never uses up the set. A draw depends on
    the seed and the participant alone, and is made when it is asked for: 30 us for one of 5,000
    participants.

    Source:
        The drawing of Detect and Defend, the project that FedSiege began from.
    """

    name = "sample"
    summary = "each participant draws from the whole set, with replacement"
    shares_out_all = False

    def check(self, labels: Labels, participants: int, samples: int) -> None:
        """Refuse what ``assign`` would: drawing needs no more than one sample in all."""
        _check(labels, participants, samples)
        self.check_samples(samples)

    def assign(
        self, labels: Labels, participants: int, samples: int, seed: int
    ) -> Sequence[Indices]:
        """Share out the samples; 0 is not possible, since drawing never uses up the set."""
        self.check(labels, participants, samples)
        return _Draws(len(labels), participants, samples, seed)


@registry.register
@dataclass(frozen=True)
class Iid(Partition):
    r"""Deal disjoint random shares of equal size.

    .. math::

        D_i = \{ \pi(i S + 1), \ldots, \pi(i S + S) \}, \qquad i = 0, 1, \ldots

    :math:`\pi` is a random permutation of the training set, the same for all participants
    :math:`i`, and :math:`S` is ``samples``. With ``samples=0`` all samples are dealt, and shares
    differ by one at most.

    Source:
        H. Brendan McMahan, Eider Moore, Daniel Ramage, Seth Hampson and Blaise Agüera y Arcas,
        `Communication-Efficient Learning of Deep Networks from Decentralized Data
        <https://arxiv.org/abs/1602.05629>`_, AISTATS 2017, section 3, "IID".
    """

    name = "iid"
    summary = "disjoint random shares of equal size"

    def assign(
        self, labels: Labels, participants: int, samples: int, seed: int
    ) -> Sequence[Indices]:
        """Share out the samples."""
        _check_enough(labels, participants, samples)
        order = seeding.generator(seed, _PURPOSE).permutation(len(labels))
        dealt = order[: participants * samples] if samples else order
        return np.array_split(dealt, participants)


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
        self, labels: Labels, participants: int, samples: int, seed: int
    ) -> Sequence[Indices]:
        """Share out the samples."""
        self.check_samples(samples)
        _check_enough(labels, participants, samples)
        rng = seeding.generator(seed, _PURPOSE)
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


class _Draws(Sequence[Indices]):
    """Draws with replacement, made when asked for."""

    def __init__(self, population: int, participants: int, samples: int, seed: int) -> None:
        self._population = population
        self._participants = participants
        self._samples = samples
        self._seed = seed

    def __len__(self) -> int:
        return self._participants

    @overload
    def __getitem__(self, index: int) -> Indices: ...
    @overload
    def __getitem__(self, index: slice) -> list[Indices]: ...
    def __getitem__(self, index: int | slice) -> Indices | list[Indices]:
        chosen = range(self._participants)[index]  # understands negative indices and slices
        if isinstance(chosen, range):
            return [self[i] for i in chosen]
        rng = seeding.generator(self._seed, _PURPOSE, participant=chosen)
        return rng.integers(self._population, size=self._samples)


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


def _check(labels: Labels, participants: int, samples: int) -> None:
    if participants < 1:
        raise InvalidValue("participants", participants, "1 or more")
    if samples < 0:
        raise InvalidValue("samples", samples, "0 (all) or more")
    if len(labels) == 0:
        raise InvalidValue("labels", 0, "there must be samples to share out")


def _check_enough(labels: Labels, participants: int, samples: int) -> None:
    _check(labels, participants, samples)
    needed = participants * max(samples, 1)
    if needed > len(labels):
        raise InvalidValue(
            "samples",
            samples,
            f"{participants:,} participants with {max(samples, 1):,} of their own each need "
            f"{needed:,} samples, the data set has {len(labels):,}; "
            "partition sample draws with replacement and needs no more than one",
        )
