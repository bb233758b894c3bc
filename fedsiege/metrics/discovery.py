"""How soon hostile participants are found out."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Discovery:
    """Rounds to detection.

    Attributes:
        median: the median over all hostile participants of the first of its rounds in which each
            was flagged, counting those in which it took part; who never was counts as infinitely
            late. None where that makes it infinite: so a detector that finds a single one at once,
            and no other, has none.
        never: share of the hostile participants that were never flagged.
    """

    median: float | None
    never: float


def discovery(first_flagged: Sequence[int | None]) -> Discovery | None:
    """Sum up when each hostile participant was found out.

    Args:
        first_flagged: for each hostile participant the first of its rounds, 1 or more, in which it
            was flagged; None if it never was.

    Returns:
        None if there are no hostile participants.
    """
    if not first_flagged:
        return None
    median = statistics.median(math.inf if one is None else one for one in first_flagged)
    never = sum(one is None for one in first_flagged) / len(first_flagged)
    return Discovery(None if math.isinf(median) else float(median), never)
