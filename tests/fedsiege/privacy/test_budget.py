"""The budget of the participant about whom most was given away."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.privacy import Budget, Release, budget

RELEASE = Release(2.0, 1e-5)


def test_a_participant_spends_in_the_rounds_in_which_it_is_scheduled() -> None:
    local = Budget(RELEASE, None)
    assert local.delta == 1e-5
    for participants, times in (([0, 1], 1), ([2], 1), ([1, 2], 2), ([], 2), ([3], 2), ([1], 3)):
        expected = RELEASE.epsilon(times)
        assert local.after(participants, 2, 100) == expected, "drawing hides nothing here"
        local.spend(participants, 2, 100)


def test_without_a_mechanism_there_is_no_budget() -> None:
    none = Budget(None, None)
    none.spend([1], 1, 1)
    assert (none.after([1], 1, 1), none.delta) == (None, None)


def test_a_central_budget_composes_all_rounds() -> None:
    central = Budget(None, RELEASE)
    for number in (1, 2, 3):
        assert central.after([number], 10, 10) == RELEASE.epsilon(number)
        central.spend([number], 10, 10)


def test_sampling_needs_the_accountant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dp_accounting", None)
    with pytest.raises(InvalidValue, match=r"PARTICIPATION=.*fedsiege\[privacy\]"):
        Budget(None, RELEASE).after([], 5, 10)
    assert Budget(RELEASE, None).after([1], 5, 10) == RELEASE.epsilon(), "a local one does not"


def test_sampling_amplifies_by_the_rate_that_really_held() -> None:
    pytest.importorskip("dp_accounting")
    spent = {}
    for drawn in (5, 20, 90, 100):
        central = Budget(None, RELEASE)
        for _ in range(4):
            central.spend([], drawn, 100)
        spent[drawn] = central.after([], drawn, 100)
    assert spent[5] < spent[20] < spent[90] <= spent[100] == RELEASE.epsilon(5)
    mixed = Budget(None, RELEASE)
    for drawn in (5, 20, 5, 20):
        mixed.spend([], drawn, 100)
    assert spent[5] < mixed.after([], 5, 100) < spent[20]
    assert budget.accountant() is not None
