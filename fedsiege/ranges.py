"""Ranges of the parameters of rules."""

import math
import sys
from collections.abc import Sequence

from fedsiege.errors import InvalidValue


def require_number(
    name: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> None:
    """Raise InvalidValue unless a parameter is a finite number within its bounds.

    Args:
        name: ``rule:parameter``.
        value: what was given.
        least: the value must be this or more.
        above: the value must be more than this.
        most: the value must be this or less.
        below: the value must be less than this.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        within = least <= value <= most and above < value < below
        if within and is_finite(value):
            return
    wanted = {"or more": least, "or less": most}
    open_ends = {"above": above, "below": below}
    parts = [f"{bound:g} {word}" for word, bound in wanted.items() if math.isfinite(bound)]
    parts += [f"{word} {bound:g}" for word, bound in open_ends.items() if math.isfinite(bound)]
    raise InvalidValue(name, value, ", ".join(["a finite number", *parts]))


def samples_cut(rule: str, counts: Sequence[int], bound: int, most: int | None = None) -> list[str]:
    """Return a remark if participants report more samples than are believed; else nothing.

    Args:
        rule: its name; its parameter is ``bound``.
        counts: the sample counts reported.
        bound: the largest that is believed.
        most: the largest that ``bound`` can be; None if there is none.
    """
    cut = [count for count in counts if count > bound]
    if not cut:
        return []
    limit = "" if most is None else f", {most} at most"
    return [
        f"{rule} counts {bound} samples for {len(cut)} of {len(counts)} participants that report "
        f"more, {max(cut)} at most; {rule}:bound=N changes that{limit}"
    ]


def is_finite(value: float) -> bool:
    """Tell whether a number is finite as a float, which a large whole number is not."""
    return -sys.float_info.max <= value <= sys.float_info.max
