"""Drawing with replacement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from fedsiege import seeding
from fedsiege.partitions.base import PURPOSE, Indices, Labels, Partition, check_counts, registry


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

    def check(
        self, labels: Labels, participants: int, samples: int, groups: Labels | None = None
    ) -> None:
        """Refuse what ``assign`` would: drawing needs no more than one sample in all."""
        check_counts(labels, participants, samples)
        self.check_samples(samples)

    def assign(
        self,
        labels: Labels,
        participants: int,
        samples: int,
        seed: int,
        groups: Labels | None = None,
    ) -> Sequence[Indices]:
        """Share out the samples; 0 is not possible, since drawing never uses up the set."""
        self.check(labels, participants, samples)
        return _Draws(len(labels), participants, samples, seed)


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
        rng = seeding.generator(self._seed, PURPOSE, participant=chosen)
        return rng.integers(self._population, size=self._samples)
