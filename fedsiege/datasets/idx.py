"""IDX files, the format of MNIST, mapped into memory without a copy.

Big-endian: two zero bytes, the element type (8 is uint8), the number of dimensions, one 32-bit
size per dimension, the elements row by row. Source: the description beside the original data
(LeCun, Cortes, Burges, The MNIST database).

torchvision's reader makes a copy in every process, 47 MB for MNIST, with 50 workers 2.3 GB.
"""

import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedsiege.errors import MissingData

_UNSIGNED_BYTE = 8


def read(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return a file of unsigned bytes, mapped read-only; all processes share its pages.

    Args:
        path: the file, not compressed.
        dimensions: the number of dimensions that it must have.

    Raises:
        MissingData: the file is missing, of another format, empty, too short or too long.
    """
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(4 + 4 * dimensions)
    except OSError as error:
        raise MissingData(f"{path} cannot be read: {error.strerror}") from None
    magic = struct.pack(">HBB", 0, _UNSIGNED_BYTE, dimensions)
    if header[:4] != magic:
        raise MissingData(
            f"{path} is no IDX file of {dimensions}-dimensional bytes: "
            f"it begins with {header[:4].hex(' ') or 'nothing'}, not {magic.hex(' ')}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise MissingData(f"{path} is cut off in its header, after {length} bytes")
    shape = struct.unpack_from(f">{dimensions}I", header, 4)
    expected = len(header) + math.prod(shape)
    if length != expected:
        raise MissingData(
            f"{path} has {length:,} bytes where its header announces {expected:,}: "
            "delete it and it is downloaded again"
        )
    if 0 in shape:
        raise MissingData(f"{path} holds nothing: its shape is {shape}")
    return np.asarray(np.memmap(path, np.uint8, mode="r", offset=len(header), shape=shape))
