"""The models, their weights as one flat vector, and checkpoints.

- base.py           the base of models, and a model built for the inputs of a data set
- architectures.py  small convolutional networks
- resnet20.py, resnet18.py, mobilenet_v2.py, vgg11.py: larger ones, for colour pictures
- mlp.py            linear layers, for tables and pictures
- char_lstm.py      a recurrent network, for sequences of tokens
- normalisation.py  batch, group and local normalisation
- state.py          the parameters and buffers of a module
- weights.py        these to and from the flat vector ``(d,)``
- checkpoints.py    weights in safetensors files
- initial.py        the initial weights of a run
- imagenet.py       ImageNet weights, downloaded once

To add a model, write a file like ``architectures.py`` and import it below: that registers it.
"""

from typing import TYPE_CHECKING

from fedsiege.models import (  # noqa: F401 - each registers its models
    architectures as _architectures,
)
from fedsiege.models import char_lstm as _char_lstm  # noqa: F401
from fedsiege.models import mlp as _mlp  # noqa: F401
from fedsiege.models import mobilenet_v2 as _mobilenet_v2  # noqa: F401
from fedsiege.models import resnet18 as _resnet18  # noqa: F401
from fedsiege.models import resnet20 as _resnet20  # noqa: F401
from fedsiege.models import vgg11 as _vgg11  # noqa: F401
from fedsiege.models.base import (
    Classifier,
    Model,
    Named,
    check_shapes,
    classifier,
    create,
    layout,
    names,
    registry,
    size,
    trained,
    variances,
)
from fedsiege.models.checkpoints import (
    WORDS,
    checkpoint_name,
    checkpoint_path,
    find_checkpoint,
    read_checkpoint,
    sha256,
    shipped_checkpoint,
    write_checkpoint,
)
from fedsiege.models.initial import initial_weights, read_initial
from fedsiege.models.weights import flatten, random_weights, unflatten_into
from fedsiege.renamed import renamed

__all__ = [
    "WORDS",
    "Classifier",
    "Model",
    "Named",
    "check_shapes",
    "checkpoint_name",
    "checkpoint_path",
    "classifier",
    "create",
    "find_checkpoint",
    "flatten",
    "initial_weights",
    "layout",
    "names",
    "parameters",
    "parse",
    "random_weights",
    "read_checkpoint",
    "read_initial",
    "register",
    "registry",
    "sha256",
    "shipped_checkpoint",
    "size",
    "trained",
    "unflatten_into",
    "variances",
    "write_checkpoint",
]

parameters = registry.parameters
parse = registry.parse
register = registry.register

if not TYPE_CHECKING:  # else no type checker would find a wrong name
    __getattr__ = renamed(__name__, Architecture="Model", catalogue="registry")
