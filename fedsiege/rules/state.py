"""What a rule remembers: whether it is its own, and as bytes.

As bytes, so that a federation can be put aside and go on later. A state is a frozen dataclass whose
fields are tensors, whole numbers, numbers, texts or None. It is written as a safetensors file:
tensors as tensors, the rest in the metadata. Never pickle.
"""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from fedsiege.errors import InvalidValue
from fedsiege.rules.base import finite_rows

T = TypeVar("T")


def own(
    rule: str,
    state: object | None,
    kind: type[T],
    finite: Iterable[str] = (),
    **shapes: tuple[int | str, ...],
) -> T | None:
    """Return the state that a rule is passed, None in its first round, if it can be the rule's.

    A wrong state must not count as no state: what the rule found out would be forgotten.

    Args:
        rule: its name.
        state: what it is passed.
        kind: the class of its states.
        finite: names of the tensors in which no NaN or infinity may be.
        shapes: of its tensors, by name; a letter stands for any number, the same in all of them.

    Raises:
        InvalidValue: it is of another class, or its tensors are of other shapes or not finite.
    """
    if state is None:
        return None
    if not isinstance(state, kind):
        raise InvalidValue(f"{rule} state", type(state).__name__, f"a {kind.__name__}")
    letters: dict[int | str, int] = {}
    for name, shape in shapes.items():
        given = tuple(getattr(state, name).shape)
        if len(given) == len(shape):
            letters = {**dict(zip(shape, given, strict=True)), **letters}
        wanted = tuple(letters.get(size, size) if isinstance(size, str) else size for size in shape)
        if given != wanted:
            allowed = f"of shape {' x '.join(map(str, wanted))}"
            raise InvalidValue(f"{rule} state's {name}", given, allowed)
    for name in finite:
        # As one row, since ``isfinite`` makes a copy, here of as much as all updates are.
        numbers = getattr(state, name)[None].flatten(1)
        if numbers.numel() > 0 and not finite_rows(numbers).all():
            raise InvalidValue(f"{rule} state's {name}", "NaN or infinity", "finite numbers")
    return state


def to_bytes(state: Any) -> bytes:  # any dataclass of the kind described above
    """Write a state.

    Args:
        state: a dataclass of tensors, numbers, texts and None.

    Raises:
        InvalidValue: a field is of another kind.
    """
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, object] = {}
    for field in dataclasses.fields(state):
        value = getattr(state, field.name)
        if isinstance(value, torch.Tensor):
            tensors[field.name] = value.contiguous()
        elif value is None or isinstance(value, int | float | str):
            plain[field.name] = value
        else:
            allowed = "a tensor, a number, a text or None"
            raise InvalidValue(f"{type(state).__name__}.{field.name}", type(value), allowed)
    # Under one key, since the library writes several in an order that changes from run to run.
    about = json.dumps({"state": type(state).__name__, "plain": plain}, sort_keys=True)
    data: bytes = save(tensors, metadata={"about": about})
    return data


def from_bytes(data: bytes, kind: type[T]) -> T:
    """Read a state.

    Args:
        data: what ``to_bytes`` wrote.
        kind: the class of the state.

    Raises:
        InvalidValue: it is the state of another class, or none.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["about"])
        name, values = about["state"], {**about["plain"], **load(data)}
    except (KeyError, TypeError, ValueError, UnicodeDecodeError, SafetensorError) as error:
        raise InvalidValue("state", f"{len(data)} bytes", f"a state, but: {error}") from error
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if name != kind.__name__ or set(values) != names:
        raise InvalidValue("state", name, f"a {kind.__name__}")
    return kind(**values)
