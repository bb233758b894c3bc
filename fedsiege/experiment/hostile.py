"""Which participants are hostile.

They have the same indices with every seed. What an index is given is drawn instead: its samples,
the rounds that it is scheduled in, the part of a distributed trigger that it holds. These draws
treat all indices alike, so that a fixed pattern of indices tells no more than a drawn one, and
workers that take consecutive indices host equal shares of hostile participants.

There is one exception: where ``dirichlet-prior`` hands out nearly the whole data set, the last
indices get what is left of the classes. Hostile participants are spread over all indices, which
keeps the difference small.

The original makes every ``round((1 - p) / p)``-th participant hostile, which gives 33 % for
p = 0.3 and divides by zero above two thirds. Here the count is exact for every fraction.
"""

from fedsiege.experiment.spec import hostile_count


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
