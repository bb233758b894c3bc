"""What rules remember of participants, by identity."""

import torch
from torch import Tensor

#: Identities that a rule remembers unless told otherwise.
REMEMBERED = 1000


def places(known: Tensor, wanted: Tensor) -> Tensor:
    """Return where identities stand in memory.

    Args:
        known: ``(k,)`` int64, the identities in memory, each once.
        wanted: ``(n,)`` int64.

    Returns:
        ``(n,)`` int64, the position of each in ``known``, -1 where it is not there.
    """
    position = {identity: place for place, identity in enumerate(known.tolist())}
    return torch.tensor([position.get(i, -1) for i in wanted.tolist()], dtype=torch.int64)


def absent(known: Tensor, seen: Tensor, present: Tensor, limit: int) -> Tensor:
    """Return the positions in memory of those who did not send and are to be remembered still.

    Memory holds ``limit`` identities (or as many as sent, if more): an attacker that enrols anew
    every round must not fill it. Who was not seen for longest is forgotten first.

    Args:
        known: ``(k,)`` int64, the identities in memory.
        seen: ``(k,)`` int64, the round in which each was seen last.
        present: ``(n,)`` int64, who sent this round.
        limit: how many identities are remembered, 1 or more.
    """
    away = (~torch.isin(known, present)).nonzero().flatten()
    latest = away[seen[away].argsort(descending=True, stable=True)]
    return latest[: max(0, limit - len(present))]
