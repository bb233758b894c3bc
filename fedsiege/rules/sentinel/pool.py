"""The pool of a round: unit updates, their moving averages, and the products of all pairs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.numerics.distances import products
from fedsiege.numerics.matrix import column_blocks, empty_matrix, weighted_sum
from fedsiege.rules.sentinel.state import Attendance, SentinelState

#: Columns and rows that are multiplied at a time.
_WIDTH = 2048
_TILE = 128
#: The smallest length or square to divide by.
_NOTHING = 1e-30


@dataclass(frozen=True)
class Pool:
    """The directions of a round: of the participants present, then of the absent ones counted.

    u are the unit updates, M the unit vectors along their moving averages E. For an absent
    participant u is M.

    Attributes:
        updates: ``(P, P)`` float64 on the CPU, ``u_i . u_j``.
        momenta: ``(P, P)`` float64 on the CPU, ``M_i . M_j``.
        rows: ``(n, d)``, the updates of the participants present, of any length.
        norms: ``(n,)`` float64 on the CPU, their lengths.
        averages: ``(n + a, d)`` float32, E of the participants present and all remembered.
        members: ``(P,)`` int64, the rows of ``averages`` that belong to the pool.
        lengths: ``(P,)`` float64, the lengths of these rows.
    """

    updates: Tensor
    momenta: Tensor
    rows: Tensor
    norms: Tensor
    averages: Tensor
    members: Tensor
    lengths: Tensor

    def along_momenta(self, weights: Tensor, cosines: Tensor) -> Tensor:
        """Return ``(P,)`` float64: ``u_i . c`` with the unit vector ``c = sum_j weights_j M_j``.

        Args:
            weights: ``(P,)`` float64.
            cosines: ``(P,)`` float64, ``M_i . c``, the result for absent participants.
        """
        n = len(self.rows)
        found = cosines.clone()
        found[:n] = _products_with(self.rows, self._sum_of_momenta(weights)) / self.norms
        return found

    def cosines_with(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``u_i . q`` and ``M_i . q`` with ``q = unit(sum_j weights_j u_j)``.

        Args:
            weights: ``(P,)`` float64.

        Returns:
            Two of ``(P,)`` float64.
        """
        n = len(self.rows)
        along = self.updates @ weights
        length = (weights @ along).clamp(min=_NOTHING).sqrt()
        absent = torch.cat([torch.zeros(n, dtype=torch.float64), weights[n:]])
        centre = _sum_of(self.rows, weights[:n] / self.norms) + self._sum_of_momenta(absent)
        momenta = _products_with(self.averages, centre)[self.members] / self.lengths
        return along / length, momenta / length

    def _sum_of_momenta(self, weights: Tensor) -> Tensor:
        coefficients = torch.zeros(len(self.averages), dtype=torch.float64)
        coefficients[self.members] = weights / self.lengths
        return _sum_of(self.averages, coefficients)


def build_pool(
    rows: Tensor, norms: Tensor, before: SentinelState, attendance: Attendance, decay: float
) -> Pool:
    """Update the moving averages, ``E <- decay E + (1 - decay) u``, and multiply all pairs.

    It reads the updates once. Products of column blocks are in float32, their sums in float64.

    Args:
        rows: ``(n, d)`` floating point, the updates of the participants present.
        norms: ``(n,)`` float64 on the CPU, their lengths.
        before: the memory before the round.
        attendance: the participants present and absent.
        decay: 0 to 1.
    """
    n, d = rows.shape
    device = rows.device
    turnout = attendance.turnout
    count = len(turnout.identities)
    members = torch.cat([torch.arange(n), n + attendance.counted.nonzero().flatten()])
    averages = empty_matrix(count, d, device)
    # The factor of a new participant's past is 0, that of an absent participant's is 1.
    sources = torch.cat([turnout.places.clamp(min=0), turnout.away]).to(device)
    factors = torch.cat([decay * turnout.known, torch.ones(count - n)])
    factors = factors.to(device, torch.float32)[:, None]
    scale = (1 / norms).to(device, torch.float32)[:, None]
    absent = members[n:].to(device)
    grams = [torch.zeros(len(members), len(members), dtype=torch.float64) for _ in range(2)]
    for columns in column_blocks(d, _WIDTH):
        units = rows[:, columns].float() * scale
        if len(before.identities):
            past = before.momenta[:, columns].to(device)
            block = past.index_select(0, sources).mul_(factors)
        else:
            block = torch.zeros(count, units.shape[1], device=device)
        block[:n].add_(units, alpha=1 - decay)
        averages[:, columns] = block
        if len(absent):
            units = torch.cat([units, block[absent]])
            block = torch.cat([block[:n], block[absent]])
        elif count > n:
            block = block[:n].contiguous()
        _add_products(grams[0], units)
        _add_products(grams[1], block)
    lengths = grams[1].diagonal().clamp(min=_NOTHING).sqrt()
    updates, momenta = map(_normalised, grams)
    return Pool(updates, momenta, rows, norms, averages, members, lengths)


def _add_products(gram: Tensor, block: Tensor) -> None:
    """Add ``B B^T`` to the lower triangle of a Gram matrix."""
    for tile in column_blocks(len(block), _TILE):
        gram[tile, : tile.stop] += products(block[tile], block[: tile.stop]).cpu()


def _normalised(gram: Tensor) -> Tensor:
    """Return the cosines from the lower triangle of a Gram matrix."""
    whole = gram.tril() + gram.tril(-1).T
    scale = whole.diagonal().clamp(min=_NOTHING).rsqrt()
    return (whole * scale[:, None] * scale).clamp(-1, 1).fill_diagonal_(1.0)


def _sum_of(matrix: Tensor, weights: Tensor) -> Tensor:
    """Return ``(d,)`` float32, the sum of the rows with weights of any size."""
    total = weights.abs().sum().clamp(min=_NOTHING)
    return weighted_sum(matrix, weights / total) * float(total)


def _products_with(matrix: Tensor, direction: Tensor) -> Tensor:
    """Return ``(n,)`` float64 on the CPU, the product of each row with a direction."""
    found = torch.zeros(len(matrix), dtype=torch.float64, device=matrix.device)
    for columns in column_blocks(matrix.shape[1], _WIDTH):
        found += (matrix[:, columns].float() @ direction[columns]).double()
    return found.cpu()
