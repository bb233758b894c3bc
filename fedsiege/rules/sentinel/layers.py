"""Which parts of an update are a layer's weights and its biases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedsiege.rules.layerguard import slices_of


@dataclass(frozen=True)
class Layer:
    """One layer of a model, as it lies in the flat vector.

    Attributes:
        weight: where its weights lie.
        rows: outputs of the matrix that they are; what else a filter has counts as columns. 1 for
            weights that are no matrix.
        columns: inputs of that matrix.
        bias: where its biases lie; None if it has none, or is no matrix.
    """

    weight: slice
    rows: int
    columns: int
    bias: slice | None

    @property
    def is_matrix(self) -> bool:
        """Whether its weights are a matrix, or filters, of two outputs or more."""
        return self.rows > 1


def layers_of(layout: Sequence[tuple[str, tuple[int, ...]]], d: int) -> list[Layer]:
    """Return the layers of a model.

    The tensors ``x.weight``, of two dimensions or more, and ``x.bias`` after it are one layer; any
    other tensor is one by itself.

    Args:
        layout: name and shape of each tensor, in the order of the flat vector.
        d: the weights of the model.

    Raises:
        UnfitRound: the tensors do not add up to d.
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
