import pytest

from fedsiege import attacks

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize("c", [1.0, 0.5, 8.0])
def test_it_is_c_times_as_long_as_the_last_global_step(c, hear):
    """G has length 5; the base model lies 3 and 4 away in the first two weights."""
    broadcast = hear([0.0, 3.0, 0.5], previous=[4.0, 6.0, 0.5])
    updates = attacks.create("mpaf-matched", c=c).craft(broadcast, [1, 2])
    for row in updates.tolist():
        assert row == pytest.approx([3.0 * c, -4.0 * c, 0.0])


def test_in_the_first_round_there_is_nothing_to_match(hear):
    updates = attacks.create("mpaf-matched").craft(hear([0.0, 3.0, 0.5]), [1, 2])
    assert updates.tolist() == [[0.0, 0.0, 0.0]] * 2


def test_a_model_that_stands_still_is_matched_by_standing_still(hear):
    updates = attacks.create("mpaf-matched").craft(hear([1.0] * 3, previous=[1.0] * 3), [1])
    assert updates.tolist() == [[0.0, 0.0, 0.0]]


def test_at_the_base_model_there_is_no_direction_left(hear):
    updates = attacks.create("mpaf-matched").craft(hear([3.0, -1.0, 0.5], previous=[0.0] * 3), [1])
    assert updates.tolist() == [[0.0, 0.0, 0.0]]


def test_the_norm_of_a_huge_step_does_not_overflow(hear):
    broadcast = hear([1e30, 0.0, 0.0], previous=[0.0, 0.0, 0.0])
    updates = attacks.create("mpaf-matched").craft(broadcast, [1])
    assert updates[0].tolist() == pytest.approx([-1e30, -1.0, 0.5])
