"""A small space in which rules that know updates by lengths and angles alone do the same.

Such a rule commutes with rotations: what it makes of turned updates is what it makes of them,
turned. k vectors fill k dimensions at most, so they can be turned into the first k of them, and the
rule works on k numbers for each in place of a model's.
"""

import torch
from torch import Tensor

from fedsiege.numerics.matrix import column_blocks

#: Rules, and steps before a rule, that commute with rotations; a test holds them to it.
ROTATING = frozenset(
    {"fedavg", "krum", "multi-krum", "mda", "geometric-median", "centered-clipping"}
    | {"norm-clipping", "foolsgold", "nnm", "clipping", "arc", "bucketing"}
)
#: Columns that are multiplied at a time.
_WIDTH = 4096


def rotates(rule: str) -> bool:
    """Return whether a rule, with the steps before it, commutes with rotations."""
    return all(step.partition(":")[0].strip() in ROTATING for step in rule.split("/"))


def turned(*parts: Tensor) -> tuple[Tensor, ...]:
    """Turn vectors into a space of as many dimensions as there are vectors.

    With ``G`` their inner products and ``G = U diag(l) U^T``, the vectors become the rows of
    ``U diag(sqrt(l))``, whose inner products are the same: lengths and angles stay.

    Args:
        parts: ``(k_1, d)``, ``(k_2, d)``, .., together k rows.

    Returns:
        ``(k_1, k)``, ``(k_2, k)``, .. float64.
    """
    counts = [len(part) for part in parts]
    gram = torch.zeros(sum(counts), sum(counts), dtype=torch.float64, device=parts[0].device)
    for columns in column_blocks(parts[0].shape[1], _WIDTH):
        block = torch.cat([part[:, columns].double() for part in parts])
        gram += block @ block.T
    values, vectors = torch.linalg.eigh(gram)
    return torch.split(vectors * values.clamp(min=0).sqrt(), counts)
