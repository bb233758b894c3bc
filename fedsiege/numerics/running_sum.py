"""A running weighted mean that is exact, and so does not depend on the order of arrival."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.numerics.matrix import column_blocks

#: Bits of the sum that one limb stands for.
_LIMB_BITS = 50
#: Terms are rounded to multiples of this.
QUANTUM = 2.0**-_LIMB_BITS
#: What one unit of each limb is worth: 2^-50, 1, 2^50, 2^100.
_UNITS = [2.0 ** (_LIMB_BITS * k) for k in range(-1, 3)]
#: Adding 1.5 * 2^52 units to a float64 of less than 2^51 units leaves no bits for fractions of a
#: unit: it rounds to whole units, and the low bits of the result are their number.
_MAGIC = [1.5 * 2.0**52 * unit for unit in _UNITS]
#: Those low bits sit on top of the bits of the magic number itself.
_BIAS = [int(np.float64(magic).view(np.int64)) for magic in _MAGIC]
#: Each addition changes a limb by at most 2^50 units; before 2^63 is reached, limbs are carried.
_ADDS_BETWEEN_CARRIES = 2**11
#: Largest |weight * value|, so that the top limb has room for 2^22 additions of that size.
LARGEST = 2.0**140
#: With up to this weight, no value that float32 holds is too large.
LARGEST_WEIGHT = int(LARGEST / 2.0**128)
#: Floats at a time: two float64 buffers of a block stay in the cache of a core.
_BLOCK = 16384
#: The same for a row within +-1, which needs one buffer.
_BLOCK_OF_ONE = 65536


class RunningSum:
    """The exact sum of ``weight * row`` over rows of d floats; its memory does not grow with rows.

    A floating point sum depends on the order of its terms, and the order of arrival over a network
    is random. So every term ``weight * x`` (one float64 product) is rounded to a multiple of 2^-50,
    about 9e-16, and these multiples are added as integers, exactly and in any order. With weight 1,
    values of 7.5e-9 and more, and 0, are not rounded at all; the rounding error is 4.4e-16 at most.

    The integers have up to four limbs of 50 bits, each an int64 per coordinate. Rows within +-1 use
    the lowest limb only; the others are allocated when needed.

    Not safe for use by two threads at once.

    Args:
        d: the length of a row, 1 or more.
    """

    def __init__(self, d: int) -> None:
        if d < 1:
            raise InvalidValue("d", d, "1 or more")
        self.d = d
        self._rounded = np.empty(min(d, _BLOCK))
        self._rest = np.empty(min(d, _BLOCK))
        self._low = np.empty(min(d, _BLOCK_OF_ONE))
        self.reset()

    def reset(self) -> None:
        """Remove all rows."""
        self._limbs: list[NDArray[np.int64]] = []
        self._adds: list[int] = []  # additions to each limb since its bias was taken off
        self._top = 0  # the highest limb a row has touched
        self._masses: Counter[float] = Counter()
        self.count = 0

    def add(
        self,
        row: NDArray[np.float32],
        weight: float = 1.0,
        mass: float | None = None,
        bound: float = math.inf,
    ) -> None:
        """Add ``weight * row`` to the numerator of the mean and ``mass`` to its denominator.

        Args:
            row: ``(d,)`` float32, finite; it is not kept.
            weight: finite, ``|weight * x| <= 2^140`` for every x of the row.
            mass: finite, 0 or more; None for ``weight``.
            bound: no x of the row is larger in size, as its norm is known to say: saves looking
                for the largest.

        Raises:
            InvalidValue: a wrong shape, or a number out of range; the sum is unchanged.
        """
        self._check_shape(row[None], 1)
        peak = abs(weight) * bound
        if not peak <= _UNITS[1]:  # within +-1 the lowest limb is enough, whatever the peak is
            peak = abs(weight) * _largest(row)
        self._add(row[None], [weight], [weight if mass is None else mass], peak)

    def add_rows(
        self,
        rows: NDArray[np.float32],
        weights: Sequence[float],
        masses: Sequence[float],
        bound: float = math.inf,
    ) -> None:
        """Add several rows, with the same result as one by one.

        Args:
            rows: ``(n, d)``; n up to 2^11.
            weights: n numbers, as for ``add``.
            masses: n numbers, as for ``add``.
            bound: as for ``add``, of all rows.

        Raises:
            InvalidValue: a wrong shape, or a number out of range; the sum is unchanged.
        """
        self._check_shape(rows, len(weights))
        peak = bound * max(map(abs, weights))
        if not peak <= _UNITS[1]:
            with np.errstate(invalid="ignore", over="ignore"):  # checked below
                peaks = np.array([_largest(row) for row in rows]) * np.abs(weights)
            peak = float(peaks.max())
        self._add(rows, weights, masses, peak)

    def _check_shape(self, rows: NDArray[np.float32], n: int) -> None:
        if rows.shape != (n, self.d):
            raise InvalidValue("row", rows.shape[1:], f"its shape must be ({self.d},)")

    def _add(
        self,
        rows: NDArray[np.float32],
        weights: Sequence[float],
        masses: Sequence[float],
        peak: float,
    ) -> None:
        """Add rows whose products with their weights are at most ``peak`` in size."""
        if not peak <= LARGEST:
            raise InvalidValue("weight * row", peak, f"finite and at most {LARGEST:.3g}")
        for mass in masses:
            if not (math.isfinite(mass) and mass >= 0):
                raise InvalidValue("mass", mass, "a finite number, 0 or more")
        top = next(k for k, unit in enumerate(_UNITS) if peak <= unit * 2.0**_LIMB_BITS)
        self._top = max(self._top, top)
        self._grow(top)
        n = len(rows)
        if n == 1 and top == 0:
            self._add_small(rows[0], weights[0])
        else:
            factors, weighted = np.array(weights), any(weight != 1.0 for weight in weights)
            for columns in column_blocks(self.d, max(1, _BLOCK // n)):
                self._add_block(rows[:, columns], factors, columns, top, weighted)
        for k in range(top + 1):
            self._adds[k] += n
        self._masses.update(masses)
        carries = self.count // _ADDS_BETWEEN_CARRIES
        self.count += n
        if self.count // _ADDS_BETWEEN_CARRIES > carries:
            self._carry()

    def _add_small(self, row: NDArray[np.float32], weight: float) -> None:
        """Add a row within +-1: it needs the lowest limb only, and few steps of Python."""
        limb, low = self._limbs[0], self._low
        for start in range(0, self.d, _BLOCK_OF_ONE):
            piece = row[start : start + _BLOCK_OF_ONE]
            block = low[: piece.size]
            block[...] = piece
            if weight != 1.0:
                block *= weight
            block += _MAGIC[0]
            limb[start : start + _BLOCK_OF_ONE] += block.view(np.int64)

    def mean(self) -> Tensor:
        """Return ``(d,)`` float32: the sum of ``weight * row`` divided by the sum of ``mass``.

        Raises:
            UnfitRound: the sum of the masses is 0.
        """
        if self._mass <= 0:
            raise UnfitRound(f"{self.count} updates of total weight 0 have no mean")
        self._carry()
        total = np.zeros(self.d)
        for limb, unit in reversed(list(zip(self._limbs, _UNITS, strict=False))):
            total += limb * unit
        total /= float(self._mass)
        with np.errstate(over="ignore"):  # mass below weight can lead beyond float32
            return torch.from_numpy(total.astype(np.float32))

    @property
    def _mass(self) -> Fraction:
        """The sum of all masses, exact."""
        terms = (Fraction(mass) * times for mass, times in self._masses.items())
        return sum(terms, Fraction(0))

    def _add_block(
        self,
        rows: NDArray[np.float32],
        factors: NDArray[np.float64],
        columns: slice,
        top: int,
        weighted: bool,
    ) -> None:
        if self._rest.size < rows.size:
            self._rest, self._rounded = np.empty(rows.size), np.empty(rows.size)
        rest = self._rest[: rows.size].reshape(rows.shape)
        rounded = self._rounded[: rows.size].reshape(rows.shape)
        rest[...] = rows
        if weighted:
            rest *= factors[:, None]
        for k in range(top, -1, -1):
            if k == 0:
                rounded = rest
            np.add(rest, _MAGIC[k], out=rounded)
            limb = self._limbs[k][columns]
            units = rounded.view(np.int64)
            limb += units[0] if len(units) == 1 else units.sum(axis=0)
            if k > 0:  # both subtractions are exact
                rounded -= _MAGIC[k]
                rest -= rounded

    def _grow(self, top: int) -> None:
        while len(self._limbs) <= top:
            self._limbs.append(np.zeros(self.d, np.int64))
            self._adds.append(0)

    def _carry(self) -> None:
        """Bring every limb but the highest into 0 .. 2^50 - 1, so that a sum has one form.

        The number of limbs, too, must depend on the rows and not on their order.
        """
        if self.count >= _ADDS_BETWEEN_CARRIES:
            self._grow(min(self._top + 1, len(_UNITS) - 1))
        for k, limb in enumerate(self._limbs):
            bias = self._adds[k] * _BIAS[k] % 2**64
            np.subtract(limb, np.array(bias, np.uint64).view(np.int64), out=limb)  # wraps around
            self._adds[k] = 0
        for low, high in pairwise(self._limbs):
            carried = low >> _LIMB_BITS
            np.add(high, carried, out=high)
            carried <<= _LIMB_BITS
            np.subtract(low, carried, out=low)


def _largest(row: NDArray[np.float32]) -> float:
    """Return the largest absolute value of a row; infinite or NaN where it is not finite."""
    # An update may lie in its message at any byte, and a search of aligned numbers is faster.
    row = row if row.flags.aligned else row.copy()
    with np.errstate(invalid="ignore"):  # the caller checks
        return float(np.maximum(row.max(), -row.min()))
