"""How much noise a guarantee takes, and what some noise guarantees."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from fedsiege.errors import InvalidValue
from fedsiege.privacy import Release, deviation_for, epsilon_of


def delta_of(multiplier: float, epsilon: float) -> float:
    """The integral of the privacy loss, by another way than the closed form."""
    x = np.linspace(-12 * multiplier, 12 * multiplier + 1, 2_000_001)
    first, second = norm.pdf(x, 0, multiplier), norm.pdf(x, 1, multiplier)
    gap = np.clip(second - math.exp(epsilon) * first, 0, None)
    return float(gap.sum() * (x[1] - x[0]))


def test_the_closed_form_is_the_integral_of_the_privacy_loss() -> None:
    for multiplier, delta in ((0.7, 1e-5), (2.0, 1e-5), (5.0, 1e-3)):
        epsilon = epsilon_of(multiplier, delta)
        assert delta_of(multiplier, epsilon) == pytest.approx(delta, rel=1e-3)


def test_below_one_it_is_the_classical_formula_and_from_one_on_the_smallest_noise() -> None:
    assert deviation_for(3.0, 0.5, 1e-5) == 3 * math.sqrt(2 * math.log(1.25e5)) / 0.5
    for epsilon in (1.0, 4.0, 100.0, 1e6):
        multiplier = deviation_for(1.0, epsilon, 1e-5)
        assert epsilon_of(multiplier, 1e-5) == pytest.approx(epsilon, rel=1e-6)
        assert epsilon_of(0.999 * multiplier, 1e-5) > epsilon
    for epsilon in (0.01, 0.5, 0.99):  # proven, with room
        assert epsilon_of(deviation_for(1.0, epsilon, 1e-5), 1e-5) < epsilon
    for epsilon in (0.0, -1.0):
        with pytest.raises(InvalidValue, match="0 would take infinite noise"):
            deviation_for(1.0, epsilon, 1e-5)


def test_extreme_noise_stays_finite() -> None:
    assert epsilon_of(1e9, 1e-5) == 0
    assert 0 < epsilon_of(1e-4, 1e-5) < math.inf
    assert epsilon_of(1.0, 1e-300) > epsilon_of(1.0, 1e-5)


def test_composition_is_that_of_googles_accountant() -> None:
    """Numbers of dp-accounting 0.6.0: privacy loss distributions, and the bound by Renyi."""
    for multiplier, times, exact, renyi in (
        (0.5, 10, 46.21121019118735, 48.80169282486775),
        (2.0, 1, 1.993091407908809, 2.165715659029443),
        (2.0, 100, 33.10373233731123, 35.08175401905626),
        (10.0, 10, 1.199369587738133, 1.3084972690274297),
    ):
        found = Release(multiplier, 1e-5).epsilon(times)
        assert found == pytest.approx(exact, rel=1e-4)
        assert found < renyi
    assert Release(2.0, 1e-5).epsilon(0) == 0


def test_composition_agrees_with_the_accountant_that_is_installed() -> None:
    accounting = pytest.importorskip("dp_accounting")
    pld = pytest.importorskip("dp_accounting.pld")
    account = pld.PLDAccountant()
    account.compose(accounting.GaussianDpEvent(3.0), 5)
    assert Release(3.0, 1e-5).epsilon(5) == pytest.approx(account.get_epsilon(1e-5), rel=1e-3)
