"""ImageNet weights of torchvision's models, as a safetensors file in the data folder.

Torchvision publishes them as pickles. One is downloaded once, checked by its SHA-256, read by torch
with ``weights_only=True``, which runs no code of the file, and written as safetensors.
"""

import hashlib
import http.client
import io
import os
import pickle
import urllib.request
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from fedsiege import torchvision_import
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.models.base import registry

#: A server that does not answer within this time counts as unreachable, in seconds.
_SILENCE = 20.0


def file_name(model: str) -> str:
    """Return the name that the file of a model has in the folder of checkpoints.

    Args:
        model: the model as text.

    Raises:
        InvalidValue: there are no such weights of the model.
    """
    own = registry.parse(model)
    if not own.imagenet:
        having = ", ".join(one.name for one in registry if one.imagenet)
        allowed = f"only with a model that has ImageNet weights: {having}; {own.name} has none"
        raise InvalidValue("init", "imagenet", allowed)
    return f"{own.name}-imagenet.safetensors"


def fetch(model: str, folder: Path) -> Path:
    """Return the file of a model's ImageNet weights; it is downloaded first if it is not there.

    Args:
        model: the model as text.
        folder: the folder of checkpoints; made if it does not exist.

    Raises:
        InvalidValue: there are no such weights of the model.
        MissingData: they are not there and cannot be downloaded; the message says what to do.
    """
    path = folder / file_name(model)
    if path.is_file():
        return path
    url = torchvision_import.weights(registry.parse(model).imagenet)
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as answer:  # noqa: S310 - https
            content = answer.read()
        expected = url.rpartition("-")[2].removesuffix(".pth")
        if not hashlib.sha256(content).hexdigest().startswith(expected):
            raise ValueError("what was downloaded has another SHA-256")
        state = _tensors(content)
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        safetensors.torch.save_file(state, partial, {"source": url})
        partial.replace(path)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)  # URLError wraps the actual one
        message = (
            f"ImageNet weights of {model} are not in {path}, and {url} cannot be had: {reason}. "
            "Start the run once where there is a network and copy that file here, or give a "
            "safetensors file with INIT=FILE"
        )
        raise MissingData(message) from error
    return path


def _tensors(content: bytes) -> dict[str, Tensor]:
    """Return the floating-point tensors of a pickled state; no code of it is run.

    Raises:
        ValueError: it holds anything else than tensors.
    """
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError("what was downloaded holds more than tensors") from None
    return {key: value for key, value in state.items() if value.is_floating_point()}
