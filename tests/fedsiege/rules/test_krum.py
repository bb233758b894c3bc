import torch

from fedsiege.rules import Krum

#: With f = 1 the n - f - 2 = 2 nearest others count: 1 + 9, 1 + 4, 4 + 9, 16 + 36, 169 + 289.
UPDATES = torch.tensor([[0.0], [1.0], [3.0], [7.0], [20.0]])
SCORES = [10.0, 5.0, 13.0, 52.0, 458.0]


def test_scores_are_sums_of_squared_distances_to_the_nearest_others() -> None:
    result = Krum(f=1)(UPDATES)
    assert result.scores is not None
    assert result.scores.tolist() == SCORES


def test_the_best_row_and_only_that_row_is_taken() -> None:
    result = Krum(f=1)(UPDATES)
    assert result.update.tolist() == [1.0]
    assert result.accepted.tolist() == [False, True, False, False, False]


def test_of_equal_scores_the_first_row_wins() -> None:
    updates = torch.tensor([[4.0], [2.0], [0.0]])
    result = Krum(f=0)(updates)
    assert result.scores is not None
    assert result.scores.tolist() == [4.0, 4.0, 4.0]
    assert result.update.tolist() == [4.0]


def test_distances_are_squared_once() -> None:
    # The 3 nearest of each. The plain distances of the last row add up to 1 + 1 + 5 = 7, less than
    # the 1 + 2 + 4.47 of the third; its squares 1 + 1 + 25 to more than 1 + 4 + 20.
    updates = torch.tensor([[2.0, 1.0], [6.0, 4.0], [4.0, 8.0], [2.0, 8.0], [3.0, 8.0]])
    result = Krum(f=0)(updates)
    assert result.scores is not None
    assert result.scores.tolist() == [124.0, 70.0, 25.0, 37.0, 27.0]
    assert result.update.tolist() == [4.0, 8.0]


def test_identical_fakes_do_not_hide_the_honest_from_each_other() -> None:
    """Honest updates of norm 0.1 beside 20 equal fakes of norm 1e6: an honest one is chosen."""
    generator = torch.Generator().manual_seed(0)
    honest = 0.01 * torch.randn(80, 100, generator=generator)
    fake = 1e5 * torch.randn(1, 100, generator=generator)
    result = Krum(f=20)(torch.cat([fake.repeat(20, 1), honest]))
    assert result.scores is not None
    brute = torch.cdist(honest.double(), honest.double()).square()
    expected = brute.fill_diagonal_(torch.inf).sort(dim=1).values[:, :78].sum(dim=1)
    torch.testing.assert_close(result.scores[20:], expected, rtol=1e-4, atol=0)
    assert result.accepted.nonzero().item() == 20 + int(expected.argmin())


def test_a_majority_of_identical_fakes_wins_as_the_definition_says() -> None:
    """Above n - f - 2 look-alikes their score is exactly 0; no rounding makes up a defence."""
    fakes = torch.full((60, 100), 1e5) + torch.arange(100)
    honest = 0.01 * torch.randn(40, 100, generator=torch.Generator().manual_seed(0))
    result = Krum(f=45)(torch.cat([honest, fakes]))
    assert result.scores is not None
    assert result.scores[40:].tolist() == [0.0] * 60
    assert result.accepted[40]
