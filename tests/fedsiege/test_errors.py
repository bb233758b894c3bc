import pickle

import pytest

from fedsiege.errors import FedSiegeError, InvalidValue, MissingData, UnfitRound


def test_a_refused_value_says_which_and_what_is_allowed():
    error = InvalidValue("ATTACK", 1.5, "a fraction from 0 to 1")
    assert str(error) == "ATTACK=1.5 is not possible: a fraction from 0 to 1"
    assert (error.name, error.value, error.allowed) == ("ATTACK", 1.5, "a fraction from 0 to 1")


@pytest.mark.parametrize(
    "error", [InvalidValue("RULE", "kum", "krum"), UnfitRound("f too large"), MissingData("x.npz")]
)
def test_errors_come_through_a_process_pool_as_they_were(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("kind", [InvalidValue, UnfitRound, MissingData])
def test_one_except_catches_all_that_is_meant_for_people(kind):
    assert issubclass(kind, FedSiegeError)


@pytest.mark.parametrize("kind", [InvalidValue, UnfitRound])
def test_values_that_are_wrong_are_value_errors(kind):
    assert issubclass(kind, ValueError)
