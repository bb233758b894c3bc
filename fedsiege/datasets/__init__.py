"""The data sets: 28x28 grey images in ten classes.

``mnist`` and ``fashion`` are read from a folder in torchvision's layout, and downloaded into it if
they are missing. ``digits`` is part of scikit-learn. A new data set is a ``Source`` in a module of
its own. No module here imports torch before ``to_tensor`` is called.

- base.py                 data sets, their sources, and the images as tensors
- auto.py                 the choice of a data set that is available
- mnist.py, digits.py     the sources
- idx.py                  the file format of MNIST
- download.py             downloads in a process of their own (torchvision_download.py)
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
