"""What real training leaves behind in each layer of an update, measured whatever its length."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.numerics.matrix import column_blocks
from fedsiege.rules.sentinel.layers import Layer
from fedsiege.rules.sentinel.spectrum import top_two

#: Numbers of a block of rows: 8 MiB of float32.
_BLOCK = 2**21
#: A matrix with fewer rows or columns is of low rank whoever made it.
_LEAST_SIDE = 8
#: The share of a layer that moves not at all counts as this, for its logarithm.
_NOTHING = 1e-6


@dataclass(frozen=True)
class Measures:
    """Numbers of n updates, float64 on the CPU; with no columns where no layer has them.

    Attributes:
        class_sum: ``(n, 0 or 1)``, the length of the last layer's sum over its classes, relative to
            its weights.
        spectrum: ``(n, matrices)``, the share of the two largest singular values.
        coherence: ``(n, matrices with biases)``, the cosine of the row means with the biases.
        profile: ``(n, features)``, ``log(||W|| / ||g||)`` of each layer and ``log(||b|| / ||W||)``
            of each with biases.
    """

    class_sum: Tensor
    spectrum: Tensor
    coherence: Tensor
    profile: Tensor


def measure(updates: Tensor, layers: Sequence[Layer]) -> Measures:
    """Measure the updates, some rows at a time.

    Args:
        updates: ``(n, d)`` floating point, no row of zeros.
        layers: of the model.
    """
    n, d = updates.shape
    at_a_time = max(1, _BLOCK // d)
    parts = [_measure(updates[rows].float(), layers) for rows in column_blocks(n, at_a_time)]
    names = Measures.__dataclass_fields__
    return Measures(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})


def _measure(block: Tensor, layers: Sequence[Layer]) -> Measures:
    class_sum: list[Tensor] = []
    spectrum: list[Tensor] = []
    coherence: list[Tensor] = []
    profile: list[Tensor] = []
    whole = _norms(block)
    for layer in layers:
        flat = block[:, layer.weight]
        weight = flat.view(len(block), layer.rows, layer.columns)
        length = _norms(flat)
        profile.append(_log_ratio(length, whole))
        if min(layer.rows, layer.columns) >= _LEAST_SIDE:
            spectrum.append(top_two(weight))
        if layer.bias is not None:
            bias = block[:, layer.bias]
            profile.append(_log_ratio(_norms(bias), length))
            if layer.is_matrix:
                coherence.append(torch.cosine_similarity(weight.mean(dim=2), bias, dim=1))
    matrices = [layer for layer in layers if layer.is_matrix]
    if matrices:
        class_sum.append(_class_sum(block, matrices[-1]))
    return Measures(*(_columns(c, block) for c in (class_sum, spectrum, coherence, profile)))


def _class_sum(block: Tensor, last: Layer) -> Tensor:
    """Return ``(n,)``: ``||sum over rows of [W, b]|| / ||W||``, 0 where W does not move."""
    flat = block[:, last.weight]
    sums = flat.view(len(block), last.rows, last.columns).sum(dim=1)
    if last.bias is not None:
        sums = torch.cat([sums, block[:, last.bias].sum(dim=1, keepdim=True)], dim=1)
    length = _norms(flat)
    return torch.where(length > 0, _norms(sums) / torch.where(length > 0, length, 1.0), 0.0)


def _norms(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms.double()


def _log_ratio(part: Tensor, whole: Tensor) -> Tensor:
    return (part / torch.where(whole > 0, whole, 1.0)).clamp(min=_NOTHING).log()


def _columns(columns: list[Tensor], block: Tensor) -> Tensor:
    if not columns:
        return torch.zeros(len(block), 0, dtype=torch.float64)
    return torch.stack(columns, dim=1).double().cpu()
