"""The kinds of updates that rules and detectors take, and the way back to the same kind.

Rules work on a matrix ``(n, d)``. Updates come as

- a torch tensor or a numpy array ``(n, d)`` of any floating point type;
- a sequence with one update per participant: vectors ``(d,)``, lists of layers (as Flower passes
  them), or mappings from names to layers, such as state dicts. A layer is a tensor or an array of
  any shape.

Layers of whole numbers, such as batch normalisation's ``num_batches_tracked``, take no part: an
update that is returned has zeros there.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from fedsiege.errors import UnfitRound

#: A vector or a layer.
Array: TypeAlias = Tensor | npt.NDArray[Any]
#: The update of one participant, or the weights of one model.
Update: TypeAlias = Array | Sequence[Array] | Mapping[str, Array]
#: The updates of all participants.
Updates: TypeAlias = Array | Sequence[Update]
#: Name and shape of each tensor of a model, in the order of the flat vector.
Layout: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
#: The kind of an update: rules return the kind that they were given.
U = TypeVar("U", bound=Update, default=Tensor)
#: The kind of an update, where none is assumed.
Kind = TypeVar("Kind", bound=Update)

_WANTED = (
    "a floating point matrix (n, d), as a torch tensor or numpy array, or a list with one update "
    "per participant: a vector, a list of layers or a mapping from names to layers (state dict)"
)
_WEIGHTS_GIVEN = (
    "a module holds weights: rules.deltas([module.state_dict(), ..], model.state_dict()) makes "
    "updates of them"
)


@dataclass(frozen=True)
class Layer:
    """The kind of one vector or layer.

    Attributes:
        shape: its shape.
        dtype: its type, torch's or numpy's.
        device: where it lies; None for a numpy array.
        counted: whether it is floating point, and so a part of the flat vector.
    """

    shape: tuple[int, ...]
    dtype: Any
    device: torch.device | None
    counted: bool

    @property
    def size(self) -> int:
        """How many numbers it has in the flat vector."""
        return math.prod(self.shape) if self.counted else 0

    def like(self, values: Tensor, *, copy: bool = True) -> Array:
        """Return values, as many as the layer has, as a layer of this kind."""
        if self.device is not None:
            return values.to(self.device, self.dtype, copy=copy).view(self.shape)
        array: npt.NDArray[Any] = values.cpu().numpy().astype(self.dtype, copy=copy)
        return array.reshape(self.shape)


@dataclass(frozen=True)
class Form(Generic[U]):
    """The kind of an update: of a vector, a list of layers, or a mapping from names to layers.

    Attributes:
        layers: the kind of each layer, by name; of a vector the only one.
        container: list, tuple, dict or OrderedDict; None for a vector.
    """

    layers: dict[str, Layer]
    container: type | None = None

    @property
    def size(self) -> int:
        """``d``, how many numbers the flat vector has."""
        return sum(layer.size for layer in self.layers.values())

    @property
    def layout(self) -> Layout:
        """Name and shape of each layer in the flat vector; empty for a vector."""
        if self.container is None:
            return ()
        return tuple((name, layer.shape) for name, layer in self.layers.items() if layer.counted)

    @property
    def device(self) -> torch.device:
        """Where the first layer in the flat vector lies."""
        first = next(layer for layer in self.layers.values() if layer.counted)
        return first.device or torch.device("cpu")

    def like(self, vector: Tensor) -> U:
        """Return a flat vector ``(d,)`` as an update of this kind, in its types and shapes."""
        if self.container is None:
            [layer] = self.layers.values()
            return cast(U, layer.like(vector, copy=False))
        pieces = torch.split(vector, [layer.size for layer in self.layers.values()])
        return self.holding(
            piece if layer.counted else torch.zeros(layer.shape, dtype=torch.int64)
            for layer, piece in zip(self.layers.values(), pieces, strict=True)
        )

    def holding(self, pieces: Iterable[Tensor]) -> U:
        """Return an update of this kind with the values of each layer.

        The layers are copies: some libraries refuse to save tensors that share memory.
        """
        made: Any = [
            layer.like(piece) for layer, piece in zip(self.layers.values(), pieces, strict=True)
        ]
        if self.container is None:
            [made] = made
        elif issubclass(self.container, dict):
            made = self.container(zip(self.layers, made, strict=True))
        elif self.container is tuple:
            made = tuple(made)
        return cast(U, made)


def flatten(update: Kind, what: str) -> tuple[Tensor, Form[Kind]]:
    """Return an update as a vector ``(d,)``, and its kind.

    Args:
        update: of one participant, or the weights of a model.
        what: what it is, for errors: "updates[3]".

    Returns:
        A float32 vector on the device of the first layer; the vector itself, of its own type, where
        the update is a torch vector.

    Raises:
        UnfitRound: it is of no kind that is taken.
    """
    layers, container = _layers(update, what)
    tensors = {name: tensor_of(layer, _at(what, name)) for name, layer in layers.items()}
    kinds = {name: _layer(layers[name], tensor) for name, tensor in tensors.items()}
    form: Form[Kind] = Form(kinds, container)
    if form.size == 0:
        raise UnfitRound(f"{what} has no floating point numbers; wanted is {_WANTED}")
    if container is None:
        [vector] = tensors.values()
        if vector.ndim != 1:
            raise UnfitRound(
                f"{what} is an array {tuple(vector.shape)}; wanted is a vector (d,), or a list of "
                "layers, also where there is only one"
            )
        return vector, form
    flat = torch.empty(form.size, device=form.device)
    _fill(flat, tensors.values())
    return flat, form


def matrix_of(updates: Any) -> tuple[Tensor, Form[Any]]:
    """Return updates as a matrix ``(n, d)``, and the kind of one update.

    A matrix is not copied (but for a numpy array that torch cannot use: read-only, in another byte
    order, with negative strides). Of anything else the matrix is float32, on the device of the
    first participant's first layer.

    Args:
        updates: see the head of this file.

    Raises:
        UnfitRound: they are of no kind that is taken, or not all of one kind and shape.
    """
    if isinstance(updates, Tensor | np.ndarray):
        matrix = tensor_of(updates, "updates")
        if matrix.ndim != 2 or not matrix.is_floating_point() or matrix.shape[1] == 0:
            given = f"{updates.dtype} {tuple(updates.shape)}"
            raise UnfitRound(f"updates are {given}; wanted is {_WANTED}")
        kind = _layer(updates, matrix)
        row = Layer(kind.shape[1:], kind.dtype, kind.device, counted=True)
        return matrix, Form({"": row})
    if not isinstance(updates, Sequence) or isinstance(updates, str | bytes):
        hint = "; take list(updates.values())" if isinstance(updates, Mapping) else ""
        raise UnfitRound(f"updates are a {type(updates).__name__}; wanted is {_WANTED}{hint}")
    if len(updates) == 0:
        return torch.zeros(0, 1), Form({"": Layer((1,), torch.float32, torch.device("cpu"), True)})
    first, form = flatten(updates[0], "updates[0]")
    rows = torch.empty(len(updates), form.size, device=form.device)
    rows[0] = first
    for i, update in enumerate(updates[1:], 1):
        _fill(rows[i], _fitting(update, form, f"updates[{i}]"))
    return rows, form


def deltas(weights: Sequence[Kind], model: Kind) -> list[Kind]:
    """Return the updates of participants that send weights: ``weights[i] - model``.

    Args:
        weights: what each participant sent.
        model: the weights of the global model that they started from, of the same kind and shape.

    Raises:
        UnfitRound: a kind that is not taken, or not that of the model.
    """
    _, form = flatten(model, "model")
    starts = _fitting(model, form, "model")
    made = []
    for i, one in enumerate(weights):
        ends = _fitting(one, form, f"weights[{i}]", "model")
        made.append(
            form.holding(
                end.to(start) - start if start.is_floating_point() else torch.zeros_like(start)
                for start, end in zip(starts, ends, strict=True)
            )
        )
    return made


def apply(update: Kind, model: Kind) -> Kind:
    """Return the next global model: ``model + update``, of the kind, types and shapes of the model.

    Layers of whole numbers stay as they are, since updates have zeros there.

    Args:
        update: what a rule returned.
        model: the weights of the global model.

    Raises:
        UnfitRound: the two are not of one kind and shape.
    """
    _, form = flatten(model, "model")
    starts = _fitting(model, form, "model")
    moves = _fitting(update, form, "update", "model")
    return form.holding(start + move.to(start) for start, move in zip(starts, moves, strict=True))


def _layers(update: Any, what: str) -> tuple[dict[str, Any], type | None]:
    """Return the layers of an update by name, and the container that they came in."""
    if isinstance(update, Tensor | np.ndarray):
        return {"": update}, None
    if isinstance(update, nn.Module):
        raise UnfitRound(f"{what} is a {type(update).__name__}, but {_WEIGHTS_GIVEN}")
    if isinstance(update, Mapping):
        for name in update:
            if not isinstance(name, str):
                raise UnfitRound(f"{what} has a layer called {name!r}; a name is text")
        return dict(update), OrderedDict if isinstance(update, OrderedDict) else dict
    if isinstance(update, Sequence) and not isinstance(update, str | bytes):
        named = {str(i): layer for i, layer in enumerate(update)}
        return named, tuple if isinstance(update, tuple) else list
    raise UnfitRound(f"{what} is a {type(update).__name__}; wanted is {_WANTED}")


def tensor_of(value: Any, what: str) -> Tensor:
    """Return a vector, a layer or a matrix as a torch tensor, without a copy where that can be."""
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise UnfitRound(f"{what} is sparse ({value.layout}); wanted is {what}.to_dense()")
        if value.is_complex() or value.is_quantized:
            raise UnfitRound(f"{what} is of {value.dtype}; wanted are floating point numbers")
        return value.detach()
    if not isinstance(value, np.ndarray):
        raise UnfitRound(
            f"{what} is a {type(value).__name__}; wanted is a torch tensor or numpy array"
        )
    if value.dtype.kind not in "fiub":
        raise UnfitRound(f"{what} is of {value.dtype}; wanted are floating point numbers")
    if isinstance(value, np.ma.MaskedArray):
        raise UnfitRound(f"{what} is a masked array; wanted is {what}.filled(..)")
    if value.dtype.kind in "ub":
        return torch.from_numpy(value.astype(np.int64))
    kind = value.dtype.newbyteorder("=")
    if value.dtype.itemsize > 8:  # longer than torch's longest
        kind = np.dtype(np.float64)
    usable = value.flags.writeable and all(step >= 0 for step in value.strides)
    with np.errstate(over="ignore"):  # such rows are left out
        return torch.from_numpy(value.astype(kind, order="C", copy=not usable))


def _layer(value: Any, tensor: Tensor) -> Layer:
    """Return the kind of a layer that ``tensor_of`` has turned into a tensor."""
    device = value.device if isinstance(value, Tensor) else None
    return Layer(tuple(tensor.shape), value.dtype, device, tensor.is_floating_point())


def _fitting(update: Any, form: Form[Any], what: str, other: str = "updates[0]") -> list[Tensor]:
    """Return the layers of an update, if it is of the same kind as the one of ``form``."""
    layers, container = _layers(update, what)
    if container is not form.container:
        kinds = [one.__name__ if one else "vector" for one in (container, form.container)]
        raise UnfitRound(f"{what} is a {kinds[0]}, but {other} is a {kinds[1]}; wanted is one kind")
    if layers.keys() != form.layers.keys():
        raise UnfitRound(f"{what} {_difference(layers, form.layers, container)} {other}")
    found = []
    for name, kind in form.layers.items():
        tensor = tensor_of(layers[name], _at(what, name))
        if tuple(tensor.shape) != kind.shape or tensor.is_floating_point() != kind.counted:
            here = f"{layers[name].dtype} {tuple(tensor.shape)}"
            raise UnfitRound(
                f"{_at(what, name)} is {here}, but {_at(other, name)} is {kind.dtype} {kind.shape};"
                " wanted is one shape"
            )
        found.append(tensor)
    return found


def _difference(layers: Iterable[str], others: Iterable[str], container: type | None) -> str:
    """Return in what the names of layers differ from others, for errors."""
    here, there = list(layers), list(others)
    if container in (list, tuple):
        return f"has {len(here)} layers, not {len(there)} as"
    missing = [repr(name) for name in there if name not in here]
    more = [repr(name) for name in here if name not in there]
    if missing:
        return f"has no {', '.join(missing)}, unlike"
    return f"has {', '.join(more)}, unlike"


def _fill(row: Tensor, layers: Iterable[Tensor]) -> None:
    """Write the floating point layers into a flat vector, one behind the other."""
    first = 0
    for layer in layers:
        if not layer.is_floating_point():
            continue
        row[first : first + layer.numel()] = layer.reshape(-1)
        first += layer.numel()


def _at(what: str, name: str) -> str:
    """Return the name of a layer, for errors."""
    if not name:
        return what
    return f"{what}[{name}]" if name.isdecimal() else f"{what}[{name!r}]"
