"""Base of the partitions, and what all of them check."""

import abc
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedsiege.errors import InvalidValue
from fedsiege.registry import Component, Registry, spell

Labels = npt.NDArray[np.int64]
#: Positions in the training set, int64.
Indices = npt.NDArray[np.int64]

#: The stream of random numbers that samples are shared out by, see ``fedsiege.seeding``.
PURPOSE = "partition"


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
            able = ", ".join(one.name for one in registry if one.shares_out_all)
            allowed = f"partition {self.name} needs 1 or more; {able} share out all there are"
            raise InvalidValue("samples", samples, allowed)

    def check(
        self, labels: Labels, participants: int, samples: int, groups: Labels | None = None
    ) -> None:
        """Refuse what ``assign`` would, at once; sharing out takes longer. Arguments as there.

        Raises:
            InvalidValue: there are not enough samples, or this partition cannot do it.
        """
        check_enough(labels, participants, samples)
        self.check_samples(samples)

    @abc.abstractmethod
    def assign(
        self,
        labels: Labels,
        participants: int,
        samples: int,
        seed: int,
        groups: Labels | None = None,
    ) -> Sequence[Indices]:
        """Share out the samples.

        Args:
            labels: ``(N,)``, the labels of the training set.
            participants: how many there are, 1 or more.
            samples: how many each gets; 0 for all there are, shared out.
            seed: the run's seed.
            groups: ``(N,)``, to whom each sample belongs by nature; None where that is not known.

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


def check_counts(labels: Labels, participants: int, samples: int) -> None:
    """Refuse numbers that no partition can work with.

    Raises:
        InvalidValue: no participant, a negative number of samples, or an empty training set.
    """
    if participants < 1:
        raise InvalidValue("participants", participants, "1 or more")
    if samples < 0:
        raise InvalidValue("samples", samples, "0 (all) or more")
    if len(labels) == 0:
        raise InvalidValue("labels", 0, "there must be samples to share out")


def check_enough(labels: Labels, participants: int, samples: int) -> None:
    """Refuse more disjoint samples than there are.

    Raises:
        InvalidValue: as ``check_counts``; or there are too few samples.
    """
    check_counts(labels, participants, samples)
    needed = participants * max(samples, 1)
    if needed > len(labels):
        raise InvalidValue(
            "samples",
            samples,
            f"{participants:,} participants with {max(samples, 1):,} of their own each need "
            f"{needed:,} samples, the data set has {len(labels):,}; "
            "partition sample draws with replacement and needs no more than one",
        )
