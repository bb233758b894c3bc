"""Distances from the middle that a minority cannot move."""

import pytest
import torch

from fedsiege.numerics.deviation import distinct, robust_z


def test_by_hand():
    # median 3, deviations 2 1 0 1 97 with median 1
    z = robust_z(torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0]), floor=0.1)
    assert z.tolist() == pytest.approx([x / 1.4826 for x in (-2, -1, 0, 1, 97)])


def test_an_even_number_has_its_middle_between_two():
    # median 2.5, deviations 1.5 .5 .5 1.5 with median 1
    z = robust_z(torch.tensor([1.0, 2.0, 3.0, 4.0]), floor=0.1)
    assert z.tolist() == pytest.approx([x / 1.4826 for x in (-1.5, -0.5, 0.5, 1.5)])


def test_where_all_are_almost_equal_the_floor_counts():
    z = robust_z(torch.tensor([1.0, 1.001, 1.002, 2.001]), floor=0.5)
    assert z.tolist() == pytest.approx([-0.001, 0.001, 0.003, 1.001 / 0.5], abs=4e-3)


def test_values_not_counted_get_a_score_and_do_not_affect_others():
    counted = torch.tensor([True] * 6 + [False] * 50)
    honest = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    alone = robust_z(torch.cat([honest, torch.tensor([100.0])]), floor=0.1)
    many = robust_z(torch.cat([honest, torch.full((51,), 100.0)]), floor=0.1, counted=counted)
    assert many.tolist() == [*alone.tolist(), *[alone[5].item()] * 50]


def test_the_first_of_identical_rows_counts():
    rows = torch.tensor([[1.0, 2], [3, 4], [1, 2], [2, 1], [3, 4], [1, 2]])
    assert distinct(rows).tolist() == [True, True, False, True, False, False]
    assert distinct(rows[:0]).tolist() == []
    assert distinct(rows.T).tolist() == [True, True], "rows that do not lie in one piece"


@pytest.mark.parametrize("values", [[], [7.0], [1.0, 9.0], [torch.nan] * 4])
def test_fewer_than_three_values_have_a_score_of_zero(values):
    assert robust_z(torch.tensor(values), floor=0.1).tolist() == [0.0] * len(values)


def test_values_that_are_not_finite_are_left_out():
    values = torch.tensor([1.0, -torch.inf, 2.0, torch.nan, 3.0, torch.inf])
    expected = (robust_z(torch.tensor([1.0, 2.0, 3.0]), floor=0.1)).tolist()
    assert robust_z(values, floor=0.1).tolist() == [expected[0], 0, expected[1], 0, expected[2], 0]
