"""The layers of a model, and the features of an update in each of them.

The features do not depend on the length of an update.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedsiege.numerics.matrix import column_blocks
from fedsiege.rules.layerguard import slices_of

#: Numbers of a block of rows: 8 MiB of float32.
_BLOCK = 2**21
#: A matrix with fewer rows or columns is of low rank in any update.
_LEAST_SIDE = 8
#: The smallest ratio of lengths to take the logarithm of.
_LEAST_RATIO = 1e-6
#: Numbers of a block in which zeros are counted: 2 MiB of float32.
_ZEROS_BLOCK = 2**19
#: The smallest share of coordinates that must be zero in most updates.
_LEAST_ZEROS = 0.005
#: Up to this size all eigenvalues cost no more than the largest ones.
_SMALL = 16
#: Vectors and steps of subspace iteration for the two largest eigenvalues.
_VECTORS = 6
_STEPS = 6


@dataclass(frozen=True)
class Layer:
    """One layer of a model, as a part of the flat vector.

    Attributes:
        weight: the slice of its weights.
        rows: the number of outputs of its weight matrix; 1 if its weights are not a matrix.
        columns: the number of inputs of that matrix; the other dimensions of a filter count as
            inputs.
        bias: the slice of its biases; None if it has none or is not a matrix.
    """

    weight: slice
    rows: int
    columns: int
    bias: slice | None

    @property
    def is_matrix(self) -> bool:
        """Whether its weights are a matrix, or filters, with two outputs or more."""
        return self.rows > 1


def layers_of(layout: Sequence[tuple[str, tuple[int, ...]]], d: int) -> list[Layer]:
    """Return the layers of a model.

    A tensor ``x.weight`` of two dimensions or more and the tensor ``x.bias`` after it form one
    layer. Any other tensor is a layer by itself.

    Args:
        layout: name and shape of each tensor, in the order of the flat vector.
        d: the number of weights of the model.

    Raises:
        UnfitRound: the sizes of the tensors do not add up to d.
    """
    places = slices_of(layout, d)
    layers, taken = [], False
    for i, ((name, shape), place) in enumerate(zip(layout, places, strict=True)):
        if taken:
            taken = False
            continue
        matrix = len(shape) >= 2
        rows = shape[0] if matrix else 1
        if matrix and i + 1 < len(places):
            after, its_shape = layout[i + 1]
            its_name = name.removesuffix("weight") + "bias"
            taken = after == its_name and tuple(its_shape) == (rows,)
        layers.append(
            Layer(place, rows, math.prod(shape) // rows, places[i + 1] if taken else None)
        )
    return layers


@dataclass(frozen=True)
class LayerFeatures:
    """The features of n updates, float64 on the CPU; without columns where no layer has them.

    Attributes:
        class_sum: ``(n, 0 or 1)``, the length of the sum of the last layer over its classes,
            divided by the length of its weights.
        spectrum: ``(n, matrices)``, the share of the two largest singular values of a matrix.
        coherence: ``(n, matrices with biases)``, the cosine of the row means with the biases.
        profile: ``(n, features)``, ``log(||W|| / ||g||)`` of each layer, and ``log(||b|| / ||W||)``
            of each layer with biases.
    """

    class_sum: Tensor
    spectrum: Tensor
    coherence: Tensor
    profile: Tensor


def layer_features(updates: Tensor, layers: Sequence[Layer]) -> LayerFeatures:
    """Return the features of the updates, computed in blocks of rows.

    Args:
        updates: ``(n, d)`` floating point, no row of zeros.
        layers: the layers of the model.
    """
    n, d = updates.shape
    at_a_time = max(1, _BLOCK // d)
    parts = [_features(updates[rows].float(), layers) for rows in column_blocks(n, at_a_time)]
    names = LayerFeatures.__dataclass_fields__
    return LayerFeatures(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})


def zero_shares(updates: Tensor) -> Tensor:
    """Return ``(n,)`` float64 on the CPU: the share of common zeros that each update leaves zero.

    Common zeros are the coordinates that are exactly 0 in at least half of the updates, such as the
    weights behind a ReLU that is never active, or of a pixel that is always black. All shares are 0
    if fewer than 0.5 % of the coordinates are common zeros.

    Args:
        updates: ``(n, d)`` floating point.
    """
    n, d = updates.shape
    size = torch.zeros((), device=updates.device)
    shares = torch.zeros(n, device=updates.device)
    for columns in column_blocks(d, max(1, _ZEROS_BLOCK // n)):
        zero = (updates[:, columns] == 0).float()
        common = (zero.sum(dim=0) >= n / 2).float()
        size += common.sum()
        shares += zero @ common
    if float(size) < max(1.0, _LEAST_ZEROS * d):
        return torch.zeros(n, dtype=torch.float64)
    return (shares / size).double().cpu()


def share_of_two_largest(matrices: Tensor) -> Tensor:
    """Return ``(s1^2 + s2^2) / ||A||_F^2`` of each matrix: 1 for rank two, near 0 for noise.

    It is computed from the Gram matrix of the smaller side. If that is large, subspace iteration
    finds the eigenvalues: from below, and accurately where the spectrum falls.

    Args:
        matrices: ``(m, r, c)`` float32, r and c 2 or more. They may be views.

    Returns:
        ``(m,)`` float64 in [0, 1] on the device of the matrices; 1 for a matrix of zeros.
    """
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.transpose(1, 2)
    norms = torch.linalg.vector_norm(matrices, dim=(1, 2))
    scaled = wide / torch.where(norms > 0, norms, 1.0)[:, None, None]
    gram = scaled @ scaled.transpose(1, 2)
    k = gram.shape[1]
    if k > _SMALL:
        # Start values that favour no coordinate, the same in every round.
        cosines = torch.arange(k * _VECTORS, device=gram.device, dtype=torch.float32).mul(1.7).cos()
        basis = cosines.view(k, _VECTORS).expand(len(gram), -1, -1)
        for _ in range(_STEPS):
            basis = torch.linalg.qr(gram @ basis).Q
        gram = basis.transpose(1, 2) @ gram @ basis
    # In float64: the float32 decomposition can fail for ill-conditioned matrices.
    top = torch.linalg.eigvalsh(gram.double())[:, -2:].sum(dim=1).clamp(0, 1)
    return torch.where(norms > 0, top, 1.0)


def _features(block: Tensor, layers: Sequence[Layer]) -> LayerFeatures:
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
            spectrum.append(share_of_two_largest(weight))
        if layer.bias is not None:
            bias = block[:, layer.bias]
            profile.append(_log_ratio(_norms(bias), length))
            if layer.is_matrix:
                coherence.append(torch.cosine_similarity(weight.mean(dim=2), bias, dim=1))
    matrices = [layer for layer in layers if layer.is_matrix]
    if matrices:
        class_sum.append(_class_sum(block, matrices[-1]))
    return LayerFeatures(*(_columns(c, block) for c in (class_sum, spectrum, coherence, profile)))


def _class_sum(block: Tensor, last: Layer) -> Tensor:
    """Return ``(n,)``: ``||sum over rows of [W, b]|| / ||W||``, 0 where W is zero."""
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
    return (part / torch.where(whole > 0, whole, 1.0)).clamp(min=_LEAST_RATIO).log()


def _columns(columns: list[Tensor], block: Tensor) -> Tensor:
    if not columns:
        return torch.zeros(len(block), 0, dtype=torch.float64)
    return torch.stack(columns, dim=1).double().cpu()
