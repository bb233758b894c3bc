"""Faults on purpose: which workers are killed, paused or slowed in which round.

This module only draws what happens and when; ``fedsiege.services.launch`` does it.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Self

from fedsiege import grammar
from fedsiege.errors import InvalidValue

_ALLOWED = "kill:SHARE,pause:SHARE,slow:SHARE, each once, shares from 0 to 1, together at most 1"


class Fault(enum.StrEnum):
    """What is done to a worker in a round.

    Attributes:
        KILL: it is ended without a warning within the round, and started again after it.
        PAUSE: it is stopped while the round lasts.
        SLOW: it gets a few percent of a processor while the round lasts.
    """

    KILL = "kill"
    PAUSE = "pause"
    SLOW = "slow"


@dataclass(frozen=True)
class Strike:
    """One fault of one round.

    Attributes:
        worker: its position among the workers, from 0.
        fault: what happens to it.
        moment: when a kill happens, as a fraction of the time a round takes, 0 to below 1; what
            lasts a whole round begins with it.
    """

    worker: int
    fault: Fault
    moment: float


@dataclass(frozen=True)
class FaultPlan:
    """The shares of the workers that get a fault in every round.

    Attributes:
        shares: a fraction of the workers for each fault, together at most 1.
    """

    shares: Mapping[Fault, Fraction] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``kill:0.2,pause:0.1,slow:0.1``; an empty text is a plan without faults.

        Raises:
            InvalidValue: another form, an unknown fault, a fault twice, a share out of its range,
                or shares that add up to more than 1.
        """
        shares: dict[Fault, Fraction] = {}
        try:
            for name, share in grammar.pairs("FAULTS", text, ":"):
                shares[Fault(name)] = Fraction(share or "")
        except (ValueError, ZeroDivisionError):
            raise InvalidValue("FAULTS", text, _ALLOWED) from None
        if any(share < 0 for share in shares.values()) or sum(shares.values()) > 1:
            raise InvalidValue("FAULTS", text, _ALLOWED)
        return cls(MappingProxyType(shares))

    def __bool__(self) -> bool:
        return any(self.shares.values())

    def draw(self, seed: int, round_number: int, workers: int) -> Sequence[Strike]:
        """Draw the faults of a round: no worker gets two.

        A share ``p`` means ``p * workers`` of them, rounded half up; where rounding would make that
        more workers than there are, the last fault named gets fewer.

        Args:
            seed: the run's seed.
            round_number: 1 or more.
            workers: how many there are, 0 or more.

        Returns:
            The strikes by moment. Equal arguments give equal strikes.
        """
        # Here and not above: it brings torch, which reading a plan must not wait for.
        from fedsiege.seeding import generator

        draw = generator(seed, "faults", round_number)
        order = iter(draw.permutation(workers).tolist())
        moments = iter(draw.random(workers).tolist())
        strikes = [
            Strike(worker, fault, moment)
            for fault, share in self.shares.items()
            # zip takes its last argument's items only while the others have some
            for _, worker, moment in zip(
                range(math.floor(share * workers + Fraction(1, 2))), order, moments, strict=False
            )
        ]
        return sorted(strikes, key=lambda strike: strike.moment)
