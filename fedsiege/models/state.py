"""The state of a module: its parameters, and the buffers that a federation carries with them.

Parameters are trained. Floating-point buffers, such as the running means and variances of batch
normalisation, follow from training; they are sent, aggregated and tested with like parameters.
Other buffers, such as a count of batches, are neither sent nor averaged: each module has its own.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fedsiege.errors import InvalidValue
from fedsiege.models.normalisation import LocalBatchNorm2d

#: The buffers that hold a variance, by the end of their names; it is never below 0.
_VARIANCE = "running_var"


def buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield name and value of each floating-point buffer that belongs to a module's state."""
    kept = module.state_dict(keep_vars=True).keys()  # without those that can be computed anew
    for name, value in module.named_buffers():
        if name in kept and value.is_floating_point():
            yield name, value


def tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Return name and value of each tensor of a module's state: parameters first, then buffers."""
    return [*module.named_parameters(), *buffers(module)]


def is_variance(name: str) -> bool:
    """Return whether a tensor of this name holds variances, which are 0 or more."""
    return name.rpartition(".")[2] == _VARIANCE


def refuse_mixing(module: nn.Module, name: str) -> None:
    """Raise InvalidValue if a module classifies a sample by the other samples of its batch.

    Batch normalisation without running statistics does so when tested, too, so that predictions
    depend on the size and order of the test batches. InstanceNorm and GroupNorm process each sample
    separately and are accepted. So is ``LocalBatchNorm2d``, which is asked for by ``norm=local``.

    Args:
        module: the module.
        name: its name in the message.

    Raises:
        InvalidValue: a layer does; the message names each.
    """
    found = [
        f"{path or 'the module itself'} ({type(layer).__name__})"
        for path, layer in module.named_modules()
        if isinstance(layer, _BatchNorm)
        and layer.running_mean is None
        and not isinstance(layer, LocalBatchNorm2d)  # that one says so
    ]
    if found:
        allowed = (
            f"a model that classifies each sample by itself: {', '.join(found)} normalises by the "
            "other samples of the batch, when tested as well. BatchNorm with running statistics, "
            "GroupNorm and LayerNorm can be used, and where that is meant LocalBatchNorm2d of "
            "fedsiege.models.normalisation"
        )
        raise InvalidValue("model", name, allowed)
