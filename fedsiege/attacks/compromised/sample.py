"""The updates that compromised participants go by, and what they compute from them."""

import torch
from torch import Tensor

from fedsiege.attacks.base import Broadcast, CompromisedAttack
from fedsiege.errors import UnfitRound
from fedsiege.numerics.means import mean_of_rows
from fedsiege.rules.base import finite_rows


def usable_sample(attack: CompromisedAttack, broadcast: Broadcast) -> Tensor:
    """Return ``(m, d)``, the rows of an attack's sample that an aggregator would take.

    Rows with a NaN or an infinity are left out: every rule rejects them.

    Args:
        attack: the attack.
        broadcast: what it knows.

    Raises:
        UnfitRound: there are fewer than it needs.
    """
    rows = attack.sample(broadcast)
    usable = finite_rows(rows)
    rows = rows if usable.all() else rows[usable]
    attack.require_sample(len(rows))
    return rows


def usable_senders(attack: CompromisedAttack, broadcast: Broadcast) -> list[int]:
    """Return the participant indices of the rows of ``usable_sample``, ascending."""
    usable = finite_rows(attack.sample(broadcast)).tolist()
    return [index for index, kept in zip(attack.senders(broadcast), usable, strict=True) if kept]


def mean(rows: Tensor) -> Tensor:
    """Return ``(d,)`` float64, the mean of each coordinate of ``(m, d)``."""
    return mean_of_rows(rows, torch.ones(len(rows), dtype=torch.bool)).double()


def deviation(rows: Tensor, *, population: bool = False) -> Tensor:
    """Return ``(d,)`` float64, the standard deviation of each coordinate of ``(m, d)``.

    Args:
        rows: at least 2.
        population: divide by m; if not, by m - 1.
    """
    return rows.float().std(dim=0, correction=0 if population else 1).double()


def hostile_among(attack: CompromisedAttack, broadcast: Broadcast) -> tuple[int, int]:
    """Return n, the participants of the round, and f, the hostile ones among them.

    An attack with full knowledge counts them, others are given the number.

    Raises:
        UnfitRound: it is not known.
    """
    f = len(broadcast.hostile)
    if broadcast.benign is not None:
        return len(broadcast.benign) + f, f
    if broadcast.participants < max(1, f):
        raise UnfitRound(f"{attack.name} needs to know how many participants the round has")
    return broadcast.participants, f


def same_row(update: Tensor, count: int) -> Tensor:
    """Return ``(count, d)`` float32, one row in memory: all of them send the same update."""
    return update.float().expand(count, -1)
