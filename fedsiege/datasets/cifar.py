"""CIFAR-10 and CIFAR-100, from the files of their authors in torchvision's layout."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fedsiege.datasets import cache
from fedsiege.datasets.base import Dataset, PictureSource, Published, registry
from fedsiege.datasets.download import Download
from fedsiege.datasets.parts import CIFAR10
from fedsiege.datasets.preparation import statistics_of
from fedsiege.errors import MissingData
from fedsiege.inputs import Image

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


class Cifar(PictureSource):
    """Pictures of 32x32 in batches, either pickled (torchvision's layout) or binary.

    Attributes:
        download: the download of the pickled files, by torchvision.
        md5: MD5 of the archive with them.
        binary: folder and files of the binary version, which are taken where the others are not:
            those to train on and, last, the one to test on.
        label_bytes: labels before the pixels of a picture in the binary version; the last counts.
        key: name of the labels in the pickled version.
    """

    download: ClassVar[Download]
    md5: ClassVar[str]
    binary: ClassVar[tuple[Path, ...]]
    label_bytes: ClassVar[int]
    key: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    classes: ClassVar[int]

    @property
    def stored(self) -> Image:
        """Colour pictures of 32x32."""
        return Image(3, _SIDE, _SIDE, self.classes)

    @property
    def published(self) -> tuple[Published, ...]:
        """The archive's files."""
        folder, (url,) = self.download.folder, self.download.mirrors
        return tuple(Published(f"{folder}/{file}", url, self.md5) for file in self.download.files)

    def is_here(self, root: Path) -> bool:
        """Return whether all files of one version exist."""
        return self._files(root) is not None

    def _files(self, root: Path) -> list[Path] | None:
        """Return the files of the version that is there, the one to test on last."""
        pickled = [root / one.file for one in self.published]
        binary = [root / file for file in self.binary]
        versions = (files for files in (pickled, binary) if all(one.is_file() for one in files))
        return next(versions, None)

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the files."""
        self.download.into(root, limit_s)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the arrays of its files."""
        files = self._files(root)
        if files is None:
            raise MissingData(f"{self.name} is not in {root}/")
        arrays = cache.mapped(files, self.name, lambda folder: self._write(files, folder))
        mean, deviation = arrays["statistics"].tolist()
        return Dataset.of(
            self.name,
            arrays,
            inputs=self.stored,
            class_names=self.class_names,
            statistics=(tuple(mean), tuple(deviation)),
        )

    def _write(self, files: Sequence[Path], folder: Path) -> None:
        """Read the files, check them and write their arrays."""
        read = [self._batch(file) for file in files]
        for part, batches in (("train", read[:-1]), ("test", read[-1:])):
            pixels, labels = (np.concatenate(every) for every in zip(*batches, strict=True))
            pictures = pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
            cache.save(folder, **{f"{part}_samples": np.ascontiguousarray(pictures)})
            cache.save(folder, **{f"{part}_labels": labels})
            if part == "train":
                cache.save(folder, statistics=np.array(statistics_of(pictures)))

    def _batch(self, file: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Return ``(N, 3072)`` pixels, by channel, and the labels of one file."""
        if file.suffix == ".bin":
            row = self.label_bytes + _PIXELS
            content = np.fromfile(file, np.uint8)
            if content.size == 0 or content.size % row:
                raise MissingData(f"{file} has {content.size:,} bytes, not a multiple of {row:,}")
            rows = content.reshape(-1, row)
            pixels, labels = rows[:, self.label_bytes :], rows[:, self.label_bytes - 1]
        else:
            entries = read_pickle(file)
            found, given = entries.get("data"), entries.get(self.key)
            if not isinstance(found, np.ndarray) or found.shape[1:] != (_PIXELS,):
                raise MissingData(f"{file} has no pictures of {_PIXELS:,} bytes under 'data'")
            if not isinstance(given, list) or not all(isinstance(one, int) for one in given):
                raise MissingData(f"{file} has no list of labels under {self.key!r}")
            pixels, labels = found, np.array(given)
        if len(labels) != len(pixels) or labels.min() < 0 or labels.max() >= self.classes:
            raise MissingData(
                f"{file} has {len(pixels)} pictures and {len(labels)} labels "
                f"from {labels.min()} to {labels.max()}; 0 to {self.classes - 1} are possible"
            )
        return pixels, labels.astype(np.int64)


@registry.register
@dataclass(frozen=True)
class Cifar10(Cifar):
    r"""Read CIFAR-10: 50,000 colour photographs of 32x32 to train on and 10,000 to test on.

    The files are those of torchvision, which downloads them, or the binary version. A model takes a
    grey level :math:`p` as :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says otherwise.

    Source:
        Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of
        Toronto, 2009; the data set `CIFAR-10 <https://doi.org/10.24432/C5889J>`_.
    """

    name = "cifar10"
    summary = "60,000 colour photographs of 10 classes"
    class_names = CIFAR10
    classes = 10
    label_bytes = 1
    key = "labels"
    md5 = "c58f30108f718f92721af3b95e74349a"
    download = Download(
        "CIFAR-10",
        "CIFAR10",
        (*(Path(f"data_batch_{number}") for number in range(1, 6)), Path("test_batch")),
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        "cifar-10-batches-py",
    )
    binary = (
        *(Path("cifar-10-batches-bin", f"data_batch_{number}.bin") for number in range(1, 6)),
        Path("cifar-10-batches-bin", "test_batch.bin"),
    )


@registry.register
@dataclass(frozen=True)
class Cifar100(Cifar):
    r"""Read CIFAR-100: 50,000 colour photographs of 32x32 to train on and 10,000 to test on.

    It has the 100 fine classes, 500 and 100 photographs each. The files are those of torchvision,
    which downloads them, or the binary version. A model takes a grey level :math:`p` as
    :math:`(p / 255 - 0.5) / 0.5`, unless ``normalise`` says otherwise.

    Source:
        Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of
        Toronto, 2009; the data set `CIFAR-10 <https://doi.org/10.24432/C5889J>`_.
    """

    name = "cifar100"
    summary = "60,000 colour photographs of 100 classes"
    class_names = ()
    classes = 100
    label_bytes = 2
    key = "fine_labels"
    md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    download = Download(
        "CIFAR-100",
        "CIFAR100",
        (Path("train"), Path("test")),
        ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
        "cifar-100-python",
    )
    binary = (Path("cifar-100-binary", "train.bin"), Path("cifar-100-binary", "test.bin"))


def read_pickle(file: Path) -> dict[str, Any]:
    """Read a pickled batch without running any code that it names.

    A pickle may name functions to call. Here the names of numpy's arrays stand for classes of this
    module, which only keep what they are given; any other name is refused.

    Returns:
        Its entries; an array is read-only uint8.

    Raises:
        MissingData: it is damaged, or names anything else.
    """
    try:
        with file.open("rb") as opened:
            entries = _Unpickler(opened, encoding="latin1").load()
        if not isinstance(entries, dict):
            raise MissingData(f"{file} holds no dictionary")
        return {
            str(key): value.read() if isinstance(value, _Array) else value
            for key, value in entries.items()
        }
    except MissingData:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise MissingData(f"{file} cannot be read as a batch of CIFAR: {error}") from error


class _Array:
    """What a pickle says of an array."""

    def __init__(self, *_: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def read(self) -> npt.NDArray[np.uint8]:
        """Return the array; raise ValueError if it is not of bytes, row by row."""
        _, shape, kind, by_columns, content = self._state
        if not isinstance(kind, _Kind) or kind.code not in ("u1", "|u1") or by_columns:
            raise ValueError("it holds another array than one of bytes")
        raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
        return np.frombuffer(raw, np.uint8).reshape(shape)


class _Kind:
    """What a pickle says of the type of an array."""

    def __init__(self, code: str = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        pass


def _encoded(text: str, _: str) -> bytes:
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Knows the names in pickled arrays and no others."""

    _KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Kind,
        ("_codecs", "encode"): _encoded,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name; raise UnpicklingError for one that no array has."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None
