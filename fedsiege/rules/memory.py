"""What rules remember of participants, by identity."""

from dataclasses import dataclass

import torch
from torch import Tensor

#: Default number of identities that a rule remembers.
REMEMBERED = 1000
#: The shapes of what every memory holds of k identities, see ``state.own``.
SHAPES = {"identities": ("k",), "seen": ("k",)}
#: The identities in a memory before the first round.
NO_IDENTITIES = torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True)
class Memory:
    """Base of what a rule or a detector remembers of each identity.

    A subclass adds tensors with a row for each identity, in the same order, and what else it
    remembers of the rounds.

    Attributes:
        identities: ``(k,)`` int64, each once.
        seen: ``(k,)`` int64, the rule's own round in which each sent last.
        rounds: how many rounds there were.
    """

    identities: Tensor
    seen: Tensor
    rounds: int

    def turnout(self, present: Tensor, limit: int, window: int | None = None) -> "Turnout":
        """Compare this with the senders of a round.

        Args:
            present: ``(n,)`` int64, the identities that sent this round.
            limit: how many identities are remembered, see ``absent``.
            window: in how many rounds, this one among them, one must have sent to be remembered;
                None for any.
        """
        rounds = self.rounds + 1
        away = absent(self.identities, self.seen, present, limit)
        if window is not None:
            away = away[self.seen[away] > rounds - window]
        return Turnout(
            places=places(self.identities, present),
            away=away,
            identities=torch.cat([present, self.identities[away]]),
            seen=torch.cat([torch.full_like(present, rounds), self.seen[away]]),
            rounds=rounds,
        )


@dataclass(frozen=True)
class Turnout:
    """Which remembered identities take part in a round, and which the memory after it holds.

    It holds those present first, in the order of the rows, then those that are away.

    Attributes:
        places: ``(n,)`` int64, where each of those present stands in memory, -1 for newcomers.
        away: ``(a,)`` int64, where those stand that are away and remembered still.
        identities: ``(n + a,)`` int64, of the memory after the round.
        seen: ``(n + a,)`` int64, likewise.
        rounds: how many rounds there were with this one.
    """

    places: Tensor
    away: Tensor
    identities: Tensor
    seen: Tensor
    rounds: int

    @property
    def known(self) -> Tensor:
        """``(n,)`` bool, which of the senders are in memory."""
        return self.places >= 0

    def recall(self, remembered: Tensor) -> Tensor:
        """Return ``(p, ..)``, what is remembered of the ``known`` senders, in their order."""
        return remembered[self.places[self.known].to(remembered.device)]

    def recall_into(self, rows: Tensor, remembered: Tensor) -> Tensor:
        """Write what is remembered of ``known`` senders into the rows of all; return these.

        Args:
            rows: ``(n, ..)``, changed; those of newcomers stay as they are.
            remembered: ``(k, ..)``, of the memory before.
        """
        rows[self.known] = self.recall(remembered).to(rows.device)
        return rows

    def carry(self, rows: Tensor, remembered: Tensor) -> Tensor:
        """Return ``(n + a, ..)``, the rows of those present, then what is remembered of the others.

        It is a copy, and so may be changed; the next round's updates come into the same matrix.

        Args:
            rows: ``(n, ..)``.
            remembered: ``(k, ..)``, of the memory before.
        """
        rest = remembered[self.away.to(remembered.device)]
        return torch.cat([rows, rest.to(rows.device)])


def no_rows(updates: Tensor) -> Tensor:
    """Return ``(0, d)`` float32 on the device of the updates: an empty memory."""
    return updates.new_zeros(0, updates.shape[1], dtype=torch.float32)


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
    """Return the positions in memory of the absent identities that stay remembered.

    Memory holds ``limit`` identities (or as many as sent, if more): an attacker that enrols anew
    every round must not fill it. The identity not seen for longest is forgotten first.

    Args:
        known: ``(k,)`` int64, the identities in memory.
        seen: ``(k,)`` int64, the round in which each was seen last.
        present: ``(n,)`` int64, the senders of this round.
        limit: how many identities are remembered, 1 or more.
    """
    away = (~torch.isin(known, present)).nonzero().flatten()
    latest = away[seen[away].argsort(descending=True, stable=True)]
    return latest[: max(0, limit - len(present))]
