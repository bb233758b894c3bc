"""The check that a module is determined by its parameters.

A federation sends, aggregates and tests parameters alone. Other state of a module, such as the
running statistics of batch normalisation, would keep its initial value in the global model, and the
reported accuracy would be that of another model.
"""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fedsiege.errors import InvalidValue

_INSTEAD = (
    "GroupNorm, LayerNorm, and InstanceNorm without track_running_stats keep none and can be used"
)


def refuse_buffers(module: nn.Module, name: str) -> None:
    """Raise InvalidValue if a module has buffers, of any type, persistent or not.

    Args:
        module: the module.
        name: its name in the message.

    Raises:
        InvalidValue: the module or a layer has a buffer; the message names each with its layer.
    """
    found = [
        f"{_describe(path, layer)} has {', '.join(buffers)}"
        for path, layer in module.named_modules()
        if (buffers := [key for key, _ in layer.named_buffers(recurse=False)])
    ]
    if found:
        allowed = (
            "a model without buffers, which are neither sent nor aggregated nor tested with: "
            f"{'; '.join(found)}. {_INSTEAD}"
        )
        raise InvalidValue("model", name, allowed)


def refuse_state(module: nn.Module, name: str) -> None:
    """Raise InvalidValue if predictions do not depend on the parameters and the sample alone.

    This is so for a module with buffers, or with batch normalisation without running statistics.
    The latter normalises by the batch in eval mode, too, so that predictions depend on the size and
    order of the test batches. InstanceNorm without running statistics and GroupNorm process each
    sample separately and are accepted.

    Args:
        module: the module.
        name: its name in the message.

    Raises:
        InvalidValue: the module has such state; the message names the layers.
    """
    refuse_buffers(module, name)
    found = [
        _describe(path, layer)
        for path, layer in module.named_modules()
        if isinstance(layer, _BatchNorm)
    ]
    if found:
        allowed = (
            f"a model that classifies each sample by itself: {', '.join(found)} normalises by the "
            f"other samples of the batch, when tested as well. {_INSTEAD}"
        )
        raise InvalidValue("model", name, allowed)


def _describe(path: str, layer: nn.Module) -> str:
    return f"{path or 'the module itself'} ({type(layer).__name__})"
