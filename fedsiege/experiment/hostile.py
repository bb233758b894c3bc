"""How many participants are hostile, and which.

The hostile participants have the same indices with every seed. What an index is given is drawn: its
samples, the rounds that it is scheduled in, the part of a distributed trigger that it holds. These
draws treat all indices alike, so that a fixed pattern of indices tells no more than a drawn one.
Workers that take consecutive indices host equal shares of hostile participants.

There is one exception: where ``dirichlet-prior`` hands out nearly the whole data set, the last
indices get what is left of the classes. Hostile participants are spread over all indices, which
keeps the difference small.

The original makes every ``round((1 - p) / p)``-th participant hostile, which gives 33 % for
p = 0.3 and divides by zero above two thirds. Here the count is exact for every fraction.
"""

import math
from fractions import Fraction

from fedsiege.errors import InvalidValue


def hostile_count(participants: int, fraction: float) -> int:
    """Return how many of the participants are hostile: ``fraction * participants``, half up.

    The fraction counts as it is written: 0.29 of 100 is 29, though the binary number below 0.29
    times 100 is less.

    Args:
        participants: how many there are, 0 or more.
        fraction: 0 to 1.

    Raises:
        InvalidValue: a value out of its range.
    """
    if participants < 0:
        raise InvalidValue("participants", participants, "a whole number, 0 or more")
    if not 0 <= fraction <= 1:
        raise InvalidValue("fraction", fraction, "a fraction from 0 to 1")
    return share_of(participants, fraction)


def fakes_beside(benign: int, fraction: float) -> int:
    """Return how many fakes make up a fraction of all: ``benign * p / (1 - p)``, half up.

    Args:
        benign: how many participants are not hostile, 0 or more.
        fraction: p, from 0 to below 1, taken as the decimal number it was written as.
    """
    share = exactly(fraction)
    return math.floor(benign * share / (1 - share) + Fraction(1, 2))


def share_of(count: int, fraction: float) -> int:
    """Return ``fraction * count`` as a whole number, half up; the fraction counts as written."""
    return math.floor(exactly(fraction) * count + Fraction(1, 2))


def exactly(number: float) -> Fraction:
    """Return the decimal number a float was written as."""
    return Fraction(repr(float(number)))


def hostile_indices(participants: int, fraction: float) -> list[int]:
    """Return the indices of the hostile participants, ascending.

    There are ``h = hostile_count(participants, fraction)`` of them, spread evenly over the n
    participants as Bresenham's line spreads its steps: the j-th, counted from 1, is the first
    index i with ``(i + 1) h / n >= j - 1/2``. Gaps differ by at most 1, and among the first k
    participants the number of hostile ones is less than 1 away from ``fraction * k``. So workers
    that take consecutive indices get equal shares of them.

    Args:
        participants: how many there are, 0 or more.
        fraction: share of hostile participants, 0 to 1.

    Raises:
        InvalidValue: a value out of its range.
    """
    hostile = hostile_count(participants, fraction)
    return [-(-(2 * j - 1) * participants // (2 * hostile)) - 1 for j in range(1, hostile + 1)]
