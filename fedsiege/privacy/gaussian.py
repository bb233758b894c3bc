"""The Gaussian mechanism: how much noise a guarantee takes, and what some noise guarantees."""

import math
from dataclasses import dataclass

from scipy.special import log_ndtr  # type: ignore[import-untyped]

from fedsiege.errors import InvalidValue

#: Halvings of an interval: more than a float64 has bits.
_HALVINGS = 200


@dataclass(frozen=True)
class Release:
    """One noisy value that is given away in every round, and what its budget is stated for.

    Attributes:
        multiplier: standard deviation of the noise over the sensitivity of the value, above 0.
        delta: of the guarantee, above 0, below 1.
    """

    multiplier: float
    delta: float

    def epsilon(self, times: int = 1) -> float:
        """Return the epsilon of the value given away so many times, each with new noise.

        It is exact: so many values with noise of multiplier z tell as much as one with noise of
        multiplier ``z / sqrt(times)``.

        Args:
            times: 0 or more.
        """
        return epsilon_of(self.multiplier / math.sqrt(times), self.delta) if times else 0.0


def log_delta(multiplier: float, epsilon: float) -> float:
    """Return the logarithm of the smallest delta of Gaussian noise.

    ``delta = Phi(1/(2z) - eps z) - e^eps Phi(-1/(2z) - eps z)`` for the multiplier z.

    Source: Balle and Wang, *Improving the Gaussian mechanism for differential privacy*, ICML 2018,
    theorem 8.
    """
    half, shift = 1 / (2 * multiplier), epsilon * multiplier
    first = float(log_ndtr(half - shift))
    second = epsilon + float(log_ndtr(-half - shift))
    return first + math.log1p(-math.exp(second - first)) if second < first else -math.inf


def epsilon_of(multiplier: float, delta: float) -> float:
    """Return the smallest epsilon, 0 or more, that noise guarantees.

    Args:
        multiplier: standard deviation over sensitivity, above 0.
        delta: above 0, below 1.
    """
    wanted = math.log(delta)
    if log_delta(multiplier, 0.0) <= wanted:
        return 0.0
    low, high = 0.0, 1.0
    while log_delta(multiplier, high) > wanted:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_delta(multiplier, middle) > wanted else (low, middle)
    return high


def classical_deviation(sensitivity: float, epsilon: float, delta: float) -> float:
    """Return ``S sqrt(2 ln(1.25 / delta)) / epsilon``, which is proven for epsilon below 1 only.

    Source: Dwork and Roth, *The algorithmic foundations of differential privacy*, 2014, theorem
    A.1.
    """
    return sensitivity * math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def deviation_for(sensitivity: float, epsilon: float, delta: float) -> float:
    """Return the standard deviation of the noise that guarantees (epsilon, delta).

    For epsilon below 1 it is the classical formula; from 1 on, where that has no proof, the
    smallest deviation there is, by Balle and Wang. The latter is less by a quarter or more.

    Args:
        sensitivity: the largest L2 distance of two values that must not be told apart, above 0.
        epsilon: above 0.
        delta: above 0, below 1.
    """
    if epsilon <= 0:
        raise InvalidValue("epsilon", epsilon, "a number above 0: 0 would take infinite noise")
    if epsilon < 1:
        return classical_deviation(sensitivity, epsilon, delta)
    wanted, low, high = math.log(delta), 1e-9, 1e9  # as multipliers
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if log_delta(middle, epsilon) > wanted else (low, middle)
    return sensitivity * high
