"""One's own arrays: a ``.npz`` of numpy."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt

from fedsiege.datasets.base import Dataset, PictureSource, registry
from fedsiege.datasets.npz import array_names, unpack
from fedsiege.datasets.own import Array, OwnData, Part, as_dataset, write_parts
from fedsiege.errors import InvalidValue
from fedsiege.inputs import Inputs

#: Names of samples and labels to train on and to test on, and of all of them.
_LAYOUTS = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("x", "y"),
)


@registry.register
@dataclass(frozen=True)
class Npz(OwnData, PictureSource):
    r"""Read arrays of pictures or of features from a ``.npz`` file of numpy.

    The arrays are called as in MedMNIST (``train_images``, ``train_labels``, ``test_images``,
    ``test_labels``), or ``x_train``, ``y_train``, ``x_test``, ``y_test``, or ``x`` and ``y``, of
    which a share of each class is held out. Samples are pictures ``(N, H, W)`` or ``(N, H, W, C)``
    of uint8, or features ``(N, F)`` of numbers. Labels are whole numbers or text, ``(N,)`` or ``(N,
    1)``, or one-hot ``(N, classes)``. The classes are the different labels, in order.

    A model takes a grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says
    otherwise; a feature as :math:`(x - \mu) / \sigma`, by mean and deviation of the training part.

    Source:
        The format of ``numpy.savez``; the names are those of MedMNIST and Keras.
    """

    name = "npz"
    summary = "your own pictures or features, in a .npz file of arrays"

    file: Annotated[str, "the file: its name in the data folder, or its path"] = ""
    test: Annotated[float, Gt(0), Lt(1), "share of each class of x and y that is held out"] = 0.2
    seed: Annotated[int, Ge(0), "seed of the draw of that share"] = 0

    @property
    def inputs(self) -> Inputs | None:
        """Known only when it has been read."""
        return None

    def write(self, path: Path, folder: Path) -> None:
        """Unpack the file, check its arrays and write them."""
        there = array_names(path)
        layout = next((one for one in _LAYOUTS if set(one) <= set(there)), None)
        if layout is None:
            known = ", or ".join(" ".join(one) for one in _LAYOUTS)
            raise self.refuse(f"arrays {known}; it has {' '.join(there) or 'none'}")
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        unpack(path, unpacked, layout)
        arrays = {name: np.load(unpacked / f"{name}.npy", mmap_mode="r") for name in layout}
        read = [
            Part(self._samples(arrays[samples]), self._labels(arrays[labels]))
            for samples, labels in zip(layout[::2], layout[1::2], strict=True)
        ]
        write_parts(self, folder, read[0], read[1] if len(read) == 2 else None)
        shutil.rmtree(unpacked)

    def _samples(self, samples: Array) -> Array:
        """Return samples as they are stored; raise InvalidValue if they are of no known kind."""
        given = f"it has {samples.dtype} {samples.shape}"
        if samples.ndim == 2 and samples.dtype.kind in "iufb":
            return samples.astype(np.float32)
        if samples.ndim not in (3, 4) or samples.dtype != np.uint8:
            raise self.refuse(
                "pictures (N, H, W) or (N, H, W, C) of uint8, or features (N, F) of numbers; "
                + given
            )
        if samples.ndim == 4 and samples.shape[3] > 4:
            raise self.refuse(f"pictures (N, H, W, C), with 1 to 4 channels in the end; {given}")
        return samples

    def _labels(self, labels: Array) -> Array:
        """Return labels ``(N,)``; those of several columns must be one-hot."""
        if labels.ndim == 2 and labels.shape[1] == 1:
            return labels[:, 0]
        if labels.ndim == 2 and labels.dtype.kind in "iufb":
            if not ((labels == 0) | (labels == 1)).all() or (labels.sum(axis=1) != 1).any():
                raise self.refuse(
                    f"one label for each sample; its labels {labels.shape} are not one-hot"
                )
            return np.asarray(labels.argmax(axis=1))
        return labels

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped."""
        return as_dataset(self.name, self.arrays(root))

    def prepare(self, data: Dataset) -> Dataset:
        """Return pictures as the parameters say, and features by their own statistics."""
        if data.inputs.pictures:
            return super().prepare(data)
        for name in ("size", "channels", "normalise"):
            value = getattr(self, name)
            if value is not None and (name, value) != ("normalise", "own"):
                allowed = "unset: it holds no pictures, and features are normalised by their own"
                raise InvalidValue(f"{self.name}:{name}", value, allowed)
        return data
