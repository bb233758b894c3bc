"""What holds for every registered rule, and for every rule but fedavg: that it defends."""

import importlib
import pkgutil

import pytest
import torch

from fedsiege import aggregation
from fedsiege.errors import InvalidValue, UnfitRound

ROBUST = [name for name in aggregation.names() if name != "fedavg"]
TOLERANT = [
    name for name in ROBUST if issubclass(aggregation.catalogue.get(name), aggregation.TolerantRule)
]
STREAMING = [
    "fedavg",
    "fedavg:weighted=true",
    "fedavg:weighted=true,bound=3",
    "norm-clipping:bound=1",
]
CASES = [*aggregation.names(), *STREAMING[1:], "trimmed-mean:f=0", "multi-krum:m=1"]


def honest_updates(n: int, d: int = 50, seed: int = 0) -> torch.Tensor:
    """A common direction of norm about 1 with noise of norm about 0.5 per participant."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(d, generator=generator) / d**0.5
    noise = torch.randn(n, d, generator=generator) / d**0.5
    return direction + 0.5 * noise


def sample_counts(n: int) -> torch.Tensor:
    return torch.arange(n) % 7


@pytest.fixture(params=CASES)
def rule(request: pytest.FixtureRequest) -> aggregation.Rule:
    return aggregation.parse(request.param)


def test_a_rule_in_the_folder_is_registered() -> None:
    known = aggregation.names()
    for module in pkgutil.iter_modules(aggregation.__path__, "fedsiege.aggregation."):
        importlib.import_module(module.name)
    assert aggregation.names() == known, "import the new rule in fedsiege/aggregation/__init__.py"


@pytest.mark.parametrize("name", aggregation.__all__)
def test_public_names_exist(name: str) -> None:
    assert hasattr(aggregation, name)


def test_a_spelled_rule_reads_back(rule: aggregation.Rule) -> None:
    assert aggregation.parse(aggregation.spell(rule)) == rule


def test_the_result_has_the_promised_form(rule: aggregation.Rule) -> None:
    result = rule(honest_updates(9), sample_counts(9))
    assert result.update.shape == (50,)
    assert result.update.dtype == torch.float32
    assert result.accepted.shape == (9,)
    assert result.accepted.dtype == torch.bool
    assert result.accepted.any()
    if result.scores is not None:
        assert result.scores.shape == (9,)
        assert result.scores.dtype == torch.float64
        assert result.scores.isfinite().all()


@pytest.mark.parametrize("n", [9, 40])
def test_the_order_of_rows_does_not_matter(rule: aggregation.Rule, n: int) -> None:
    updates, counts = honest_updates(n), sample_counts(n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    straight, shuffled = rule(updates, counts), rule(updates[order], counts[order])
    assert torch.equal(shuffled.update, straight.update)
    assert torch.equal(shuffled.accepted, straight.accepted[order])


@pytest.mark.parametrize("one_value", [1e6, torch.nan])
def test_input_is_not_changed(rule: aggregation.Rule, one_value: float) -> None:
    updates, counts = honest_updates(9), sample_counts(9)
    updates[4, 7] = one_value
    before, counts_before = updates.clone(), counts.clone()
    result = rule(updates, counts)
    result.update.fill_(7.0)
    assert torch.equal(updates.nan_to_num(9.0), before.nan_to_num(9.0))
    assert torch.equal(counts, counts_before)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_not_finite_are_left_out_and_named(
    rule: aggregation.Rule, poison: float
) -> None:
    updates, counts = honest_updates(12), sample_counts(12)
    good = torch.ones(12, dtype=torch.bool)
    good[[0, 5]] = False
    updates[0] = poison
    updates[5, 49] = poison
    result, without = rule(updates, counts), rule(updates[good], counts[good])
    assert torch.equal(result.update, without.update)
    assert not result.accepted[[0, 5]].any()
    assert torch.equal(result.accepted[good], without.accepted)
    if result.scores is not None and without.scores is not None:
        assert result.scores[[0, 5]].isnan().all()
        assert torch.equal(result.scores[good], without.scores)


def test_no_usable_row_is_an_unfit_round(rule: aggregation.Rule) -> None:
    with pytest.raises(UnfitRound, match="none of the 5 updates"):
        rule(torch.full((5, 3), torch.nan), sample_counts(5))


@pytest.mark.parametrize(
    "updates",
    [torch.zeros(5), torch.zeros(5, 3, dtype=torch.int32), torch.zeros(5, 0), torch.zeros(0, 3)],
)
def test_what_is_no_matrix_of_updates_is_refused(
    rule: aggregation.Rule, updates: torch.Tensor
) -> None:
    with pytest.raises(UnfitRound, match="updates"):
        rule(updates)


@pytest.mark.parametrize("weights", [torch.ones(4, dtype=torch.int64), torch.ones(5)])
def test_weights_are_one_whole_number_per_row(
    rule: aggregation.Rule, weights: torch.Tensor
) -> None:
    with pytest.raises(UnfitRound, match="one whole number per row"):
        rule(torch.zeros(5, 3), weights)


@pytest.mark.parametrize("n", [3, 5, 9, 100])
def test_equal_rows_give_that_row(rule: aggregation.Rule, n: int) -> None:
    row = 0.5 * honest_updates(1)[0]
    assert torch.equal(rule(row.repeat(n, 1), sample_counts(n)).update, row)


@pytest.mark.parametrize("text", [text for text in CASES if "krum" not in text])
def test_a_single_participant_is_followed(text: str) -> None:
    row = 0.5 * honest_updates(1)
    assert torch.equal(aggregation.parse(text)(row, sample_counts(1)).update, row[0])


def test_models_of_one_parameter(rule: aggregation.Rule) -> None:
    updates = torch.tensor([[0.5], [0.25], [0.375], [0.5], [0.25]])
    update = rule(updates, sample_counts(5)).update
    assert update.shape == (1,)
    assert 0.25 <= update.item() <= 0.5


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_floating_point_types(rule: aggregation.Rule, dtype: torch.dtype) -> None:
    updates = honest_updates(9).to(dtype)
    assert torch.equal(
        rule(updates, sample_counts(9)).update, rule(updates.float(), sample_counts(9)).update
    )


def test_a_value_beyond_float32_leaves_its_row_out(rule: aggregation.Rule) -> None:
    updates = honest_updates(9).double()
    updates[2, 2] = 1e39
    result = rule(updates, sample_counts(9))
    assert not result.accepted[2]
    assert result.update.isfinite().all()


def test_the_largest_float32_is_survived(rule: aggregation.Rule) -> None:
    updates = honest_updates(9)
    updates[1::4] = torch.finfo(torch.float32).max
    assert rule(updates, sample_counts(9)).update.isfinite().all()


def test_rows_of_a_wider_matrix(rule: aggregation.Rule) -> None:
    wide = honest_updates(9, d=80)
    assert torch.equal(
        rule(wide[:, 10:60], sample_counts(9)).update,
        rule(wide[:, 10:60].contiguous(), sample_counts(9)).update,
    )


@pytest.mark.parametrize(
    ("text", "n", "numbers"),
    [
        ("trimmed-mean:f=3", 6, ["f=3", "6 updates", "there are 6"]),
        ("krum:f=20", 42, ["f=20", "43 updates", "there are 42"]),
        ("multi-krum:f=20", 42, ["f=20", "43 updates", "there are 42"]),
        ("multi-krum:m=10", 9, ["m=10", "10 updates", "there are 9"]),
        ("krum", 2, ["f=0", "3 updates", "there are 2"]),
    ],
)
def test_too_few_updates_is_an_unfit_round_with_the_numbers(
    text: str, n: int, numbers: list[str]
) -> None:
    rule = aggregation.parse(text)
    with pytest.raises(UnfitRound) as refused:
        rule(honest_updates(n))
    assert all(number in str(refused.value) for number in numbers), refused.value
    with pytest.raises(UnfitRound):
        rule.for_participants(n)
    rule(honest_updates(n + 1))


def test_rows_left_out_do_not_count_for_f() -> None:
    updates = honest_updates(43)
    aggregation.parse("krum:f=20")(updates)
    updates[0, 0] = torch.nan
    with pytest.raises(UnfitRound, match="there are 42"):
        aggregation.parse("krum:f=20")(updates)


@pytest.mark.parametrize("name", TOLERANT)
@pytest.mark.parametrize(("n", "f"), [(3, 0), (5, 1), (99, 19), (100, 20)])
def test_f_is_a_fifth_of_the_participants_where_nobody_says(name: str, n: int, f: int) -> None:
    rule = aggregation.create(name)
    assert rule.for_participants(n) == aggregation.create(name, f=f)
    assert aggregation.create(name, f=0).for_participants(n) == aggregation.create(name, f=0)
    assert torch.equal(
        rule(honest_updates(n)).update, aggregation.create(name, f=f)(honest_updates(n)).update
    )


@pytest.mark.parametrize(
    "text",
    [
        "krum:f=-1",
        "trimmed-mean:f=-1",
        "multi-krum:f=-1",
        "multi-krum:m=0",
        "fedavg:bound=0",
        "norm-clipping:bound=0",
        "norm-clipping:bound=-1",
        "norm-clipping:bound=inf",
        "norm-clipping:bound=nan",
    ],
)
def test_an_impossible_parameter_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        aggregation.parse(text)
    assert refused.value.name == text.partition("=")[0]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("krum", {"f": 1.5}),
        ("krum", {"f": True}),
        ("fedavg", {"weighted": "yes"}),
        ("norm-clipping", {"bound": "1"}),
    ],
)
def test_a_parameter_of_the_wrong_type_is_refused(name: str, parameters: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        aggregation.create(name, **parameters)


@pytest.mark.parametrize("text", STREAMING)
def test_streaming_in_any_order_equals_the_matrix_bit_for_bit(text: str) -> None:
    rule = aggregation.parse(text)
    assert rule.streams
    assert isinstance(rule, aggregation.StreamingRule)
    updates, counts = honest_updates(30), sample_counts(30)
    updates[::5] *= 1e6
    total = aggregation.RunningSum(50)
    for i in torch.randperm(30, generator=torch.Generator().manual_seed(2)).tolist():
        row, count = updates[i].numpy(), int(counts[i])
        norm = aggregation.norm_of(row)
        total.add(row, rule.weight_of(norm, count), rule.mass_of(norm, count))
    assert torch.equal(total.mean(), rule(updates, counts).update)


def test_only_rules_that_can_stream_say_so() -> None:
    streaming = {name for name in aggregation.names() if aggregation.create(name).streams}
    assert streaming == {"fedavg"}


@pytest.mark.parametrize("name", ROBUST)
def test_one_huge_update_in_a_hundred_hardly_moves_a_robust_rule(name: str) -> None:
    honest = honest_updates(99)
    target = honest.mean(dim=0)
    updates = torch.cat([honest, 1e6 * honest_updates(1, seed=5)])
    spread = (honest - target).norm(dim=1).max()
    assert (aggregation.create("fedavg")(updates).update - target).norm() > 1000 * spread
    assert (aggregation.create(name)(updates).update - target).norm() <= spread


@pytest.mark.parametrize("scale", [10.0, 1e6])
@pytest.mark.parametrize("name", ROBUST)
def test_mpaf_wins_under_fedavg_and_loses_under_a_robust_rule(name: str, scale: float) -> None:
    """MPAF: 20 of 100 all send the same scaled step towards a model of their own."""
    honest = honest_updates(80)
    step = scale * honest_updates(1, seed=5)
    updates = torch.cat([step.repeat(20, 1), honest])

    def progress(rule: str) -> float:  # cosine with what the honest participants want
        update = aggregation.create(rule)(updates).update
        return torch.cosine_similarity(update, honest.mean(dim=0), dim=0).item()

    assert progress("fedavg") < 0.5
    assert progress(name) > 0.8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(rule: aggregation.Rule) -> None:
    updates, counts = honest_updates(40), sample_counts(40)
    cpu, cuda = rule(updates, counts), rule(updates.cuda(), counts.cuda())
    assert cuda.update.device.type == "cuda"
    assert cuda.accepted.device.type == "cpu"
    assert torch.equal(cuda.accepted, cpu.accepted)
    torch.testing.assert_close(cuda.update.cpu(), cpu.update)
