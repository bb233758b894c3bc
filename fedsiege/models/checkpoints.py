"""Checkpoints: weights in safetensors files, one tensor per parameter; never pickle.

The shipped ones are ``fedsiege/checkpoints/<model>-<dataset>.safetensors``.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from fedsiege.errors import InvalidValue, MissingData
from fedsiege.models.base import Named, layout, size

_SHIPPED = Path(__file__).parent.parent / "checkpoints"
#: The folder of checkpoints inside a data folder.
_FOLDER = "checkpoints"
#: The allowed names of files in that folder: no path, not hidden.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
#: Initial weights that are not a file.
WORDS = ("pretrained", "random", "imagenet")


def checkpoint_name(name: str, dataset: str) -> str:
    """Return the usual file name of a checkpoint: ``mlp-hidden-50-digits.safetensors``.

    Args:
        name: the model as text, such as ``mlp:hidden=50``.
        dataset: the data set as text.
    """
    return re.sub("[:=,/]", "-", f"{name}-{dataset}.safetensors")


def checkpoint_path(name: str, dataset: str) -> Path | None:
    """Return the shipped checkpoint of a model and a data set, None if there is none."""
    path = _SHIPPED / checkpoint_name(name, dataset)
    return path if path.parent == _SHIPPED and path.is_file() else None


def read_checkpoint(path: Path, named: Named) -> Tensor:
    """Return the weights in a file, ``(d,)`` float32.

    The file is not trusted: names, shapes and types are checked before a tensor is read. Weights
    that are not finite are returned, too, so that a destroyed model can be inspected.

    Args:
        path: the file.
        named: the model.

    Raises:
        MissingData: the file is missing or cannot be opened.
        InvalidValue: it is not a safetensors file, or not of this model.
    """
    expected = dict(layout(named))
    if not path.is_file():
        raise MissingData(f"there is no checkpoint {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - no dict
            found = {key: (*piece.get_shape(), piece.get_dtype()) for key, piece in slices.items()}
            wanted = {key: (*shape, "F32") for key, shape in expected.items()}
            if found != wanted:
                raise InvalidValue(
                    "checkpoint", str(path), f"{named} has {_differences(wanted, found)}"
                )
            return torch.cat([file.get_tensor(key).reshape(-1) for key in expected])
    except safetensors.SafetensorError as error:
        raise InvalidValue(
            "checkpoint", str(path), f"it must be a safetensors file ({error})"
        ) from None
    except OSError as error:
        raise MissingData(f"checkpoint {path} cannot be read: {error}") from None


def write_checkpoint(path: Path, named: Named, weights: Tensor, metadata: dict[str, str]) -> None:
    """Write weights, ``(d,)`` float32, and a description of their origin.

    The file is written as a whole or not at all. The same content gives the same bytes.

    Args:
        path: the file; its folder must exist, an existing file is replaced.
        named: the model.
        weights: its weights, on any device.
        metadata: text by key; the key "model" is added.

    Raises:
        InvalidValue: the weights do not fit the model. Nothing is written.
        OSError: the file cannot be written; the error names it.
    """
    if weights.shape != (size(named),) or weights.dtype != torch.float32:
        given = f"{weights.dtype} {tuple(weights.shape)}"
        raise InvalidValue("weights", given, f"{named} takes float32 ({size(named)},)")
    lengths = [math.prod(shape) for _, shape in layout(named)]
    pieces = torch.split(weights.detach().cpu(), lengths)
    tensors = {
        key: piece.reshape(shape).clone()  # the library refuses tensors that share memory
        for (key, shape), piece in zip(layout(named), pieces, strict=True)
    }
    content = safetensors.torch.save(tensors, metadata={**metadata, "model": str(named)})
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(_with_sorted_header(content))
        os.replace(partial, path)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)  # on a full disk a part of it is there


def shipped_checkpoint(name: str, dataset: str) -> Path:
    """Return the shipped checkpoint of a model and a data set.

    Raises:
        InvalidValue: there is none; the message names those there are.
    """
    path = checkpoint_path(name, dataset)
    if path is None:
        there = ", ".join(sorted(path.stem for path in _SHIPPED.glob("*.safetensors")))
        raise InvalidValue(
            "init",
            "pretrained",
            f"no checkpoint ships for {name} on {dataset}. There are: {there}. "
            "Use random or the path of a safetensors file",
        )
    return path


def find_checkpoint(init: str, data: Path, named: Iterable[Path] = ()) -> Path | None:
    """Return the file of initial weights that a request names, None if it names no allowed file.

    No other path is accessed, so that a remote caller cannot probe the file system.

    Args:
        init: a path or file name out of ``named``, or the name of a file in the folder
            ``checkpoints`` of the data folder.
        data: the data folder.
        named: further files that may be requested, anywhere.
    """
    for path in named:
        if init == path.name or Path(init) == path:
            return path
    if not _PLAIN_NAME.fullmatch(init):
        return None
    folder = data / _FOLDER
    path = folder / init
    inside = path.is_file() and path.resolve().parent == folder.resolve()  # no link leads out
    return path if inside else None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _with_sorted_header(content: bytes) -> bytes:
    """Return a safetensors file with a sorted header; the library's order is random."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # the format keeps the tensors aligned to 8 bytes
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _differences(
    wanted: dict[str, tuple[object, ...]], found: dict[str, tuple[object, ...]]
) -> str:
    """Describe the first tensor that differs from the model's."""
    for key, (*shape, kind) in wanted.items():
        if key not in found:
            return f"{key} {shape} {kind}, the file does not"
        if found[key] != wanted[key]:
            *other_shape, other_kind = found[key]
            return f"{key} {shape} {kind}, the file has it as {other_shape} {other_kind}"
    extra = next(key for key in found if key not in wanted)
    return f"no {extra[:100]!r}, the file has"
