import pytest

from fedsiege import attacks


def test_the_last_step_is_reversed_and_magnified(hear):
    broadcast = hear([1.0, 2.0, 3.0], previous=[0.5, 4.0, 3.0])
    updates = attacks.create("history", scale=10.0).craft(broadcast, [1, 6])
    assert updates.tolist() == [[-5.0, 20.0, 0.0]] * 2


def test_in_the_first_round_there_is_nothing_to_reverse(hear):
    updates = attacks.create("history", scale=10.0).craft(hear([1.0, 2.0, 3.0]), [1, 6])
    assert updates.tolist() == [[0.0, 0.0, 0.0]] * 2


def test_alone_at_lambda_one_it_undoes_the_round(hear):
    broadcast = hear([1.0, 2.0, 3.0], previous=[0.5, 4.0, 3.0])
    model = broadcast.model + attacks.create("history").craft(broadcast, [0])[0]
    assert model.tolist() == pytest.approx([0.5, 4.0, 3.0])
