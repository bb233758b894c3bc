"""The data sets: pictures, features or tokens, with labels.

``mnist`` and ``fashion`` are read from a folder in torchvision's layout, and downloaded into it if
they are missing. ``digits`` is part of scikit-learn. A new data set is a ``DatasetSource`` in a
module of its own. No module here imports torch before ``to_tensor`` is called.

- base.py                 data sets and their sources
- preparation.py          how samples become what a model takes
- auto.py                 the choice of a data set that is available
- mnist.py, digits.py     the sources
- idx.py                  the file format of MNIST
- download.py             downloads in a process of their own (torchvision_download.py)
"""

from typing import TYPE_CHECKING

from fedsiege.datasets import breast_cancer as _breast_cancer  # noqa: F401 - registers itself
from fedsiege.datasets import cifar as _cifar  # noqa: F401 - registers itself
from fedsiege.datasets import digits as _digits  # noqa: F401 - registers itself
from fedsiege.datasets import emnist as _emnist  # noqa: F401 - registers itself
from fedsiege.datasets import medmnist_sets as _medmnist_sets  # noqa: F401 - registers itself
from fedsiege.datasets import mnist as _mnist  # noqa: F401 - registers itself
from fedsiege.datasets import own_csv as _own_csv  # noqa: F401 - registers itself
from fedsiege.datasets import own_folder as _own_folder  # noqa: F401 - registers itself
from fedsiege.datasets import own_npz as _own_npz  # noqa: F401 - registers itself
from fedsiege.datasets import parts as _parts  # noqa: F401 - registers itself
from fedsiege.datasets import purchase as _purchase  # noqa: F401 - registers itself
from fedsiege.datasets import shakespeare as _shakespeare  # noqa: F401 - registers itself
from fedsiege.datasets import svhn as _svhn  # noqa: F401 - registers itself
from fedsiege.datasets.auto import AUTO, resolve
from fedsiege.datasets.base import (
    Dataset,
    DatasetSource,
    PictureSource,
    inputs_of,
    is_here,
    load,
    names,
    registry,
    to_tensor,
)
from fedsiege.datasets.own import permit
from fedsiege.renamed import renamed

__all__ = [
    "AUTO",
    "Dataset",
    "DatasetSource",
    "PictureSource",
    "inputs_of",
    "is_here",
    "load",
    "names",
    "parameters",
    "parse",
    "permit",
    "register",
    "registry",
    "resolve",
    "to_tensor",
]

parameters = registry.parameters
parse = registry.parse
register = registry.register

if not TYPE_CHECKING:  # else no type checker would find a wrong name
    __getattr__ = renamed(__name__, Source="DatasetSource", catalogue="registry")
