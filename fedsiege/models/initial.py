"""The initial weights of a run: shipped, random, ImageNet's, or of a file."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from fedsiege.errors import InvalidValue, MissingData
from fedsiege.models.base import Named, classifier, layout
from fedsiege.models.checkpoints import checkpoint_path, read_checkpoint, shipped_checkpoint
from fedsiege.models.weights import random_weights

#: The types of numbers that a file may have; all become float32.
_TYPES = ("F64", "F32", "F16", "BF16")
#: Counts of batches, which files of torch have beside running statistics; they are not carried.
_COUNT = "num_batches_tracked"

Shapes = Mapping[str, tuple[int, ...]]


def initial_weights(named: Named, init: str, dataset: str, seed: int) -> tuple[Tensor, str]:
    """Return the initial weights of a run, and a word for their origin.

    Args:
        named: the model.
        init: "pretrained", "random", the path of a safetensors file, or "": pretrained if a
            checkpoint is shipped for the model and the data set, else random.
        dataset: the name of the run's data set.
        seed: the run's seed, for random weights.

    Returns:
        ``(d,)`` float32, and "pretrained", "random" or the path.

    Raises:
        InvalidValue: the model is unknown, no checkpoint is shipped for "pretrained", ``init`` is
            neither a known word nor a file, or the file does not fit the model or holds weights
            that are not finite.
    """
    if init == "pretrained":
        return read_checkpoint(shipped_checkpoint(str(named), dataset), named), "pretrained"
    shipped = checkpoint_path(str(named), dataset)
    if init == "random" or (init == "" and shipped is None):
        return random_weights(named, seed), "random"
    if init == "" and shipped is not None:
        return read_checkpoint(shipped, named), "pretrained"
    path = Path(init)
    if not path.is_file():
        raise InvalidValue(
            "init", init, "pretrained, random, or the path of a safetensors file; this is no file"
        )
    return read_initial(path, named, seed)[0], init


def read_initial(path: Path, named: Named, seed: int) -> tuple[Tensor, str]:
    """Return initial weights from a file, and a remark if its last layer is not used.

    The file has the model's tensors, by name and shape. If it was trained for another number of
    classes, and its last layer alone differs by that, this layer is drawn from the seed. Numbers of
    other types become float32. The file is not trusted: all is checked before a tensor is read.

    Args:
        path: a safetensors file.
        named: the model.
        seed: the run's seed.

    Returns:
        ``(d,)`` float32, finite; and a remark, empty where all tensors are of the file.

    Raises:
        MissingData: the file is missing or cannot be opened.
        InvalidValue: it is no safetensors file, does not fit the model, or holds weights that are
            not finite.
    """
    expected = dict(layout(named))
    if not path.is_file():
        raise MissingData(f"there is no checkpoint {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            slices = {
                key: file.get_slice(key)
                for key in file.keys()  # noqa: SIM118 - no dict
                if key.rpartition(".")[2] != _COUNT
            }
            for key, piece in slices.items():
                if piece.get_dtype() not in _TYPES:
                    allowed = f"tensors of {', '.join(_TYPES)}; {key[:100]!r} has "
                    raise InvalidValue("checkpoint", str(path), allowed + str(piece.get_dtype()))
            found = {key: tuple(piece.get_shape()) for key, piece in slices.items()}
            head, classes = _head(path, named, expected, found)
            lengths = [math.prod(shape) for shape in expected.values()]
            drawn = torch.split(random_weights(named, seed), lengths)
            weights = torch.cat(
                [
                    own if key in head else file.get_tensor(key).reshape(-1).float()
                    for key, own in zip(expected, drawn, strict=True)
                ]
            )
    except safetensors.SafetensorError as error:
        allowed = f"it must be a safetensors file ({error})"
        raise InvalidValue("checkpoint", str(path), allowed) from None
    except OSError as error:
        raise MissingData(f"checkpoint {path} cannot be read: {error}") from None
    if not bool(weights.isfinite().all()):
        raise InvalidValue(
            "init", str(path), "a run begins with finite weights; these have NaN or Inf"
        )
    if not head:
        return weights, ""
    there = classifier(named).inputs.classes
    return weights, (
        f"{path.name} is for {classes} classes and the data set has {there}: "
        f"{' and '.join(head)} are drawn anew from the seed"
    )


def _head(path: Path, named: Named, expected: Shapes, found: Shapes) -> tuple[list[str], int]:
    """Return the tensors of the last layer if it is for other classes, and their number.

    Raises:
        InvalidValue: names or shapes differ otherwise; the message names the first difference.
    """
    different = [key for key, shape in expected.items() if found.get(key) != shape]
    different += [key for key in found if key not in expected]
    if not different:
        return [], 0
    classes = classifier(named).inputs.classes
    others = {found[key][:1] for key in different if key in expected and key in found}
    last = len(others) == 1 and all(
        key in expected
        and key in found
        and expected[key] == (classes, *found[key][1:])
        and len(found[key]) == len(expected[key])
        for key in different
    )
    if last and len({key.rpartition(".")[0] for key in different}) == 1:
        return different, others.pop()[0]
    first = different[0]
    texts = [
        json.dumps(list(shapes[first])) if first in shapes else "no such tensor"
        for shapes in (expected, found)
    ]
    allowed = f"of {first[:100]!r} {named} has {texts[0]}, the file {texts[1]}"
    raise InvalidValue("checkpoint", str(path), allowed)
