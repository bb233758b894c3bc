"""The data sets: 28x28 grey images in ten classes.

``mnist`` and ``fashion`` come from a folder in torchvision's layout and are downloaded into it when
absent; ``digits`` needs neither. A data set is added as a ``Source`` in a module of its own.
Nothing here imports torch before ``to_tensor`` is called.
"""

from fedsiege.datasets import digits as _digits  # noqa: F401 - registers itself
from fedsiege.datasets import mnist as _mnist  # noqa: F401 - registers itself
from fedsiege.datasets.auto import AUTO, resolve
from fedsiege.datasets.base import Dataset, Source, is_here, load, names, registry, to_tensor

__all__ = [
    "AUTO",
    "Dataset",
    "Source",
    "is_here",
    "load",
    "names",
    "registry",
    "resolve",
    "to_tensor",
]
