"""The cases: rules, and matrices of updates.

The workers of both environments import it, so it needs only numpy.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Size:
    """A matrix of updates: n participants, d parameters."""

    n: int
    d: int

    def __str__(self) -> str:
        return f"n={self.n} d={self.d}"

    @property
    def bytes(self) -> int:
        """Return the size of the matrix in float32."""
        return 4 * self.n * self.d

    @classmethod
    def of(cls, text: str) -> "Size":
        """Read ``100x1e5``."""
        n, d = text.split("x")
        return cls(int(float(n)), int(float(d)))

    def updates(self) -> NDArray[np.float32]:
        """Return ``(n, d)`` float32, the same in every process: one direction plus noise."""
        random = np.random.default_rng(0)
        rows = np.empty((self.n, self.d), np.float32)
        random.standard_normal(out=rows, dtype=np.float32)
        rows += random.standard_normal(self.d, dtype=np.float32)
        rows *= np.float32(0.01)
        return rows


@dataclass(frozen=True)
class Case:
    """A rule of both libraries.

    Attributes:
        name: our name with parameters; ``{f}`` stands for a fifth of the participants.
        peer: the name of ByzFL's class.
        arguments: the arguments of that class; the text ``f`` stands for the same number.
        sorts: whether the time is also compared with that of sorting the matrix.
    """

    name: str
    peer: str
    arguments: tuple[str | float | None, ...] = ()
    sorts: bool = False

    @property
    def title(self) -> str:
        """Return the name without parameters."""
        return self.name.partition(":")[0]


#: mda and smea compare all subsets in ByzFL; with f = 1 there are n of them.
CASES = {
    case.title: case
    for case in (
        Case("fedavg", "Average"),
        Case("median", "Median", sorts=True),
        Case("trimmed-mean:f={f}", "TrMean", ("f",), sorts=True),
        Case("krum:f={f}", "Krum", ("f",)),
        Case("multi-krum:f={f}", "MultiKrum", ("f",)),
        Case("geometric-median", "GeometricMedian"),
        Case("centered-clipping:tau=100", "CenteredClipping", (None, 1, 100.0)),
        Case("meamed:f={f}", "Meamed", ("f",)),
        Case("mda:f=1", "MDA", (1,)),
        Case("smea:f=1", "SMEA", (1,)),
        Case("caf:f={f}", "CAF", ("f",)),
        Case("nnm:f={f}", "NNM", ("f",)),
        Case("bucketing:s=2", "Bucketing", (2,)),
        Case("clipping:bound=2", "Clipping", (2.0,)),
        Case("arc:f={f}", "ARC", ("f",)),
    )
}

SIZES = (Size(100, 100_000), Size(1000, 10_000), Size(1000, 100_000), Size(100, 1_000_000))
