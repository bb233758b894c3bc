"""Differential privacy: what participants do to their updates, and what a run gives away.

``gaussian.py`` has the mathematics of Gaussian noise, ``ldp.py`` what participants do to their
updates themselves, ``budget.py`` the budget of a whole run. The rule ``dp-fedavg`` is the central
counterpart. docs/privacy.md says what is guaranteed, and against whom.
"""

from fedsiege.privacy.base import Mechanism, names, parse, registry
from fedsiege.privacy.budget import Budget
from fedsiege.privacy.gaussian import Release, deviation_for, epsilon_of
from fedsiege.privacy.ldp import LocalGaussian

__all__ = [
    "Budget",
    "LocalGaussian",
    "Mechanism",
    "Release",
    "deviation_for",
    "epsilon_of",
    "names",
    "parse",
    "registry",
]
