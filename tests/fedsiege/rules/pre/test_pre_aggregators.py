import pytest
import torch

from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import RoundContext, pre
from fedsiege.rules.pre import ARC, NNM, Clipping, Mixed
from tests.cases import each

NOTHING = RoundContext()
ALL = pre.names()


def rows(n: int = 12, d: int = 30) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


def transformed(text: str, updates: torch.Tensor, context: RoundContext = NOTHING) -> Mixed:
    n = len(updates)
    return pre.parse(text).for_participants(n, n // 5).transform(updates, context)


def test_all_are_there() -> None:
    assert {"arc", "bucketing", "clipping", "nnm"} <= set(ALL)


@pytest.mark.parametrize("text", ALL)
def test_what_all_promise(text: str) -> None:
    updates = rows()
    before = updates.clone()
    mixed = transformed(text, updates)
    m = pre.parse(text).rows_of(12)
    assert mixed.rows.shape == (m, 30)
    assert mixed.rows.dtype == torch.float32
    assert mixed.members.shape == (m, 12)
    assert mixed.members[mixed.place, torch.arange(12)].all()
    assert torch.equal(updates, before)


@each("text", ALL)
@each("dtype", [torch.float64, torch.bfloat16])
def test_other_floating_point_types(text: str, dtype: torch.dtype) -> None:
    updates = rows().to(dtype)
    expected = transformed(text, updates.float()).rows
    torch.testing.assert_close(transformed(text, updates).rows, expected)


@pytest.mark.parametrize("text", ALL)
def test_the_largest_float32_stays_finite(text: str) -> None:
    updates = rows()
    updates[::2] = torch.finfo(torch.float32).max
    assert transformed(text, updates).rows.isfinite().all()


def test_nnm_by_hand() -> None:
    updates = torch.tensor([[0.0], [1.0], [3.0], [9.0]])
    mixed = NNM(f=2).transform(updates, NOTHING)
    assert mixed.rows.flatten().tolist() == [0.5, 0.5, 2.0, 6.0]
    assert mixed.members.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def test_nnm_mixes_each_row_with_itself_among_equals() -> None:
    mixed = NNM(f=3).transform(torch.ones(4, 2), NOTHING)
    assert mixed.members.diagonal().all()
    assert mixed.members.sum(dim=1).tolist() == [1, 1, 1, 1]


def test_nnm_of_a_thousand_rows() -> None:
    updates = rows(1000, 300)
    mixed = NNM(f=200).transform(updates, NOTHING)
    nearest = torch.cdist(updates, updates).fill_diagonal_(-1).argsort(dim=1)[:, :800]
    expected = torch.stack([updates[chosen].mean(dim=0) for chosen in nearest])
    # A pair at the edge may be ordered otherwise in float32.
    assert ((mixed.rows - expected).abs().amax(dim=1) > 1e-5).sum() <= 2


def test_nnm_needs_more_than_f_updates() -> None:
    with pytest.raises(UnfitRound, match="f=4 needs more than 4 updates, there are 4"):
        NNM(f=4).for_participants(4, f=1)


@pytest.mark.parametrize(("n", "s"), [(12, 2), (13, 2), (14, 5), (3, 1), (3, 7), (1, 2)])
def test_bucketing_loses_and_doubles_nobody(n: int, s: int) -> None:
    updates = rows(n)
    mixed = transformed(f"bucketing:s={s}", updates)
    assert mixed.members.sum(dim=0).tolist() == [1] * n
    sizes = mixed.members.sum(dim=1)
    assert sizes.tolist() == [s] * (n // s) + [n % s] * (n % s > 0)
    expected = torch.stack([updates[members].mean(dim=0) for members in mixed.members])
    torch.testing.assert_close(mixed.rows, expected)
    torch.testing.assert_close(
        (sizes.double() @ mixed.rows.double()) / n,
        updates.double().mean(dim=0),
        rtol=1e-5,
        atol=1e-5,
    )


def test_bucketing_follows_identity_seed_and_round() -> None:
    updates = rows()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    context = RoundContext(participants=torch.arange(12), seed=1, round_number=3)
    moved = RoundContext(participants=order, seed=1, round_number=3)
    straight, shuffled = (
        transformed("bucketing", updates, context),
        transformed("bucketing", updates[order], moved),
    )
    assert torch.equal(shuffled.rows, straight.rows)
    assert torch.equal(shuffled.members, straight.members[:, order])
    for other in (RoundContext(seed=2, round_number=3), RoundContext(seed=1, round_number=4)):
        assert not torch.equal(transformed("bucketing", updates, other).place, straight.place)


def test_clipping_by_hand() -> None:
    updates = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    fixed = Clipping(bound=2).transform(updates, NOTHING).rows
    torch.testing.assert_close(fixed, torch.tensor([[1.2, 1.6], [0.0, 1.0], [0.0, 0.0]]))
    to_median = Clipping().transform(updates, NOTHING).rows
    torch.testing.assert_close(to_median, torch.tensor([[0.6, 0.8], [0.0, 1.0], [0.0, 0.0]]))


def test_what_needs_no_clipping_is_not_copied() -> None:
    updates = rows()
    assert Clipping(bound=1e6).transform(updates, NOTHING).rows is updates


@pytest.mark.parametrize(
    ("n", "f", "clipped"), [(10, 1, 1), (10, 2, 3), (10, 4, 4), (10, 0, 0), (7, 3, 3), (25, 5, 8)]
)
def test_arc_clips_the_longest_to_the_next(n: int, f: int, clipped: int) -> None:
    updates = torch.arange(1.0, n + 1)[:, None] * torch.tensor([0.6, 0.8])
    found = ARC(f=f).transform(updates, NOTHING).rows.norm(dim=1)
    expected = torch.arange(1.0, n + 1).clamp(max=n - clipped)
    torch.testing.assert_close(found, expected)


def test_arc_needs_an_honest_majority() -> None:
    with pytest.raises(UnfitRound, match="f=3 needs more than 2f = 6 updates, there are 6"):
        ARC(f=3).for_participants(6, f=1)


@pytest.mark.parametrize("text", ["nnm:f=-1", "arc:f=-1", "bucketing:s=0", "clipping:bound=0"])
def test_an_impossible_parameter_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        pre.parse(text)
    assert refused.value.name == text.partition("=")[0]


@each("dtype", [torch.float32, torch.float64, torch.bfloat16])
@each(("n", "s"), [(1, 2), (7, 1), (7, 3), (100, 2), (300, 7), (5, 9)])
def test_buckets_are_the_same_by_rows_and_by_columns(dtype: torch.dtype, n: int, s: int) -> None:
    updates = torch.randn(n, 3000, generator=torch.Generator().manual_seed(0)).to(dtype)
    mixed = pre.create("bucketing", s=s).transform(updates, RoundContext())
    expected = torch.stack([updates[members].double().mean(dim=0) for members in mixed.members])
    torch.testing.assert_close(mixed.rows.double(), expected, rtol=1e-5, atol=1e-6)
    pieces = [
        mixed.columns(columns) for columns in (slice(0, 7), slice(7, 1500), slice(1500, 3000))
    ]
    assert torch.equal(torch.cat(pieces, dim=1), mixed.rows)
