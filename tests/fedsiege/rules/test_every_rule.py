"""What holds for every registered rule, and that the robust ones withstand an attack."""

import dataclasses
import importlib
import pkgutil

import pytest
import torch

from fedsiege import rules
from fedsiege.errors import UnfitRound
from tests.cases import each
from tests.fedsiege.rules.cases import (
    AGAINST_SYBILS,
    CASES,
    PIPELINES,
    PROGRESS,
    ROBUST,
    TEXTS,
    aggregate,
    assert_same,
    honest_updates,
    sample_counts,
    works_with,
)

#: Rules and pipelines that work with one update, and those that need more.
WORK_WITH_ONE = {
    "auror",
    "bucketing/median",
    "caf",
    "centered-clipping",
    "clipping",
    "crfl",
    "dnc",
    "dp-fedavg",
    "fedavg",
    "fednova",
    "flame",
    "fldetector",
    "foolsgold",
    "foundationfl",
    "geometric-median",
    "layerguard",
    "mda",
    "meamed",
    "median",
    "nnm/median",
    "norm-clipping",
    "rfout1d",
    "rfout1d-robust",
    "trimmed-mean",
    "weak-dp",
}
NEED_MORE = {
    "arc/nnm/multi-krum",
    "bulyan",
    "krum",
    "multi-krum",
    "sentinel",
    "signguard",
    "smea",
}
RULES = [rules.parse(text) for text in CASES]


def test_a_rule_in_the_folder_is_registered() -> None:
    known = rules.names()
    for module in pkgutil.iter_modules(rules.__path__, "fedsiege.rules."):
        importlib.import_module(module.name)
    assert rules.names() == known, "import the new rule in fedsiege/rules/__init__.py"


@each("rule", RULES)
def test_a_spelled_rule_reads_back(rule: rules.Rule) -> None:
    assert rules.parse(rules.spell(rule)) == rule


@each("rule", RULES)
def test_the_result_has_the_promised_form(rule: rules.Rule) -> None:
    result = aggregate(rule, honest_updates(9))
    assert result.update.shape == (50,)
    assert result.update.dtype == torch.float32
    assert result.accepted.shape == (9,)
    assert result.accepted.dtype == torch.bool
    assert result.accepted.any()
    if result.scores is not None:
        assert result.scores.shape == (9,)
        assert result.scores.dtype == torch.float64
        assert result.scores.isfinite().all()


@each("n", [9, 40])
@each("rule", RULES)
def test_the_order_of_rows_does_not_matter(rule: rules.Rule, n: int) -> None:
    updates = honest_updates(n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    straight, shuffled = aggregate(rule, updates), aggregate(rule, updates, rows=order)
    assert_same(rule, shuffled.update, straight.update)
    assert torch.equal(shuffled.accepted, straight.accepted[order])


@each("one_value", [1e6, torch.nan])
@each("rule", RULES)
def test_input_is_not_changed(rule: rules.Rule, one_value: float) -> None:
    updates, counts = honest_updates(15), sample_counts(15)
    updates[4, 7] = one_value
    before, counts_before = updates.clone(), counts.clone()
    result = aggregate(rule, updates, counts)
    result.update.fill_(7.0)
    assert torch.equal(updates.nan_to_num(9.0), before.nan_to_num(9.0))
    assert torch.equal(counts, counts_before)


@each("rule", RULES)
def test_what_is_remembered_is_neither_what_is_returned_nor_the_input(
    rule: rules.Rule,
) -> None:
    """The aggregator fills the same matrix again in the next round, and may add in place."""
    updates = honest_updates(9)
    result = aggregate(rule, updates)
    if result.state is None:
        return
    remembered = {
        field.name: value
        for field in dataclasses.fields(result.state)
        if isinstance(value := getattr(result.state, field.name), torch.Tensor)
    }
    before = {name: value.clone() for name, value in remembered.items()}
    result.update.fill_(7.0)
    updates.fill_(7.0)
    for name, value in remembered.items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True, msg=name)


@each("poison", [torch.nan, torch.inf, -torch.inf])
@each("rule", RULES)
def test_rows_that_are_not_finite_are_left_out_and_named(rule: rules.Rule, poison: float) -> None:
    updates = honest_updates(16)
    good = torch.ones(16, dtype=torch.bool)
    good[[0, 5]] = False
    updates[0] = poison
    updates[5, 49] = poison
    result = aggregate(rule, updates)
    without = aggregate(rule, updates, rows=good.nonzero().flatten())
    assert torch.equal(result.update, without.update)
    assert not result.accepted[[0, 5]].any()
    assert torch.equal(result.accepted[good], without.accepted)
    if result.scores is not None and without.scores is not None:
        assert result.scores[[0, 5]].isnan().all()
        assert torch.equal(result.scores[good], without.scores)


@each("rule", RULES)
def test_no_usable_row_is_an_unfit_round(rule: rules.Rule) -> None:
    with pytest.raises(UnfitRound, match="none of the 5 updates"):
        aggregate(rule, torch.full((5, 3), torch.nan))


@each(
    "updates",
    [torch.zeros(5), torch.zeros(5, 3, dtype=torch.int32), torch.zeros(5, 0), torch.zeros(0, 3)],
)
@each("rule", RULES)
def test_what_is_no_matrix_of_updates_is_refused(rule: rules.Rule, updates: torch.Tensor) -> None:
    with pytest.raises(UnfitRound, match="updates"):
        rule(updates)


@each("weights", [torch.ones(4, dtype=torch.int64), torch.ones(5)])
@each("rule", RULES)
def test_weights_are_one_whole_number_per_row(rule: rules.Rule, weights: torch.Tensor) -> None:
    with pytest.raises(UnfitRound, match="one whole number per row"):
        aggregate(rule, torch.zeros(5, 3), weights)


@each(
    ("text", "n"),
    [
        (text, n)
        for text in CASES
        for n in (3, 7, 9, 100)
        if text not in AGAINST_SYBILS and works_with(text, n)
    ],
)
def test_equal_rows_give_that_row(text: str, n: int) -> None:
    """But for rules that give similar updates no weight, which AGAINST_SYBILS names."""
    rule, row = rules.parse(text), 0.5 * honest_updates(1)[0]
    assert_same(rule, aggregate(rule, row.repeat(n, 1)).update, row)


@each("name", sorted(AGAINST_SYBILS))
def test_against_sybils_equal_rows_count_for_nothing(name: str) -> None:
    result = aggregate(rules.create(name), honest_updates(1).repeat(9, 1))
    assert result.update.count_nonzero() == 0
    assert not result.accepted.any()


def test_rules_that_work_with_a_single_participant_and_rules_that_do_not() -> None:
    """What a new rule says of one participant is compared with what it does: test_small_rounds."""
    work = {text.partition(":")[0] for text in CASES if works_with(text, 1)}
    assert work >= WORK_WITH_ONE, f"{WORK_WITH_ONE - work} refuse a single participant"
    assert not NEED_MORE & work, f"{NEED_MORE & work} accept a single participant"


@each("text", [text for text in CASES if works_with(text, 1)])
def test_a_single_participant_is_followed(text: str) -> None:
    rule, row = rules.parse(text), 0.5 * honest_updates(1)
    assert_same(rule, aggregate(rule, row).update, row[0])


@each("rule", RULES)
def test_models_of_one_parameter(rule: rules.Rule) -> None:
    updates = torch.tensor([[0.5], [0.25], [0.375], [0.5], [0.25], [0.375], [0.25]])
    update = aggregate(rule, updates).update
    assert update.shape == (1,)
    least = 0.0 if rule.name in AGAINST_SYBILS else 0.25  # in one dimension all directions are one
    assert least <= update.item() <= 0.5


@each("rule", RULES)
def test_updates_of_zeros_give_zeros(rule: rules.Rule) -> None:
    assert aggregate(rule, torch.zeros(9, 50)).update.count_nonzero() == 0


@each("dtype", [torch.float64, torch.bfloat16, torch.float16])
@each("rule", RULES)
def test_other_floating_point_types(rule: rules.Rule, dtype: torch.dtype) -> None:
    updates = honest_updates(9).to(dtype)
    found, expected = aggregate(rule, updates).update, aggregate(rule, updates.float()).update
    assert found.dtype == dtype
    assert_same(rule, found, expected.to(dtype))


@each("rule", RULES)
def test_a_value_beyond_float32_leaves_its_row_out(rule: rules.Rule) -> None:
    updates = honest_updates(15).double()
    updates[2, 2] = 1e39
    result = aggregate(rule, updates)
    assert not result.accepted[2]
    assert result.update.isfinite().all()


@each("rule", RULES)
def test_the_largest_float32_is_survived(rule: rules.Rule) -> None:
    updates = honest_updates(9)
    updates[1::4] = torch.finfo(torch.float32).max
    assert aggregate(rule, updates).update.isfinite().all()


@each("rule", RULES)
def test_rows_of_a_wider_matrix(rule: rules.Rule) -> None:
    wide = honest_updates(9, d=80)[:, 10:60]
    assert_same(rule, aggregate(rule, wide).update, aggregate(rule, wide.contiguous()).update)


@each("text", [*(TEXTS.get(n, n) for n in ROBUST if n not in AGAINST_SYBILS), *PIPELINES])
def test_one_huge_update_in_a_hundred_hardly_moves_a_robust_rule(text: str) -> None:
    honest = honest_updates(99)
    target = honest.mean(dim=0)
    updates = torch.cat([honest, 1e6 * honest_updates(1, seed=5)])
    spread = (honest - target).norm(dim=1).max()
    assert (rules.create("fedavg")(updates).update - target).norm() > 1000 * spread
    assert (aggregate(rules.parse(text), updates).update - target).norm() <= spread


@each("scale", [10.0, 1e6])
@each("text", [*(name for name in ROBUST if name != "smea"), *PIPELINES])
def test_mpaf_wins_under_fedavg_and_loses_under_a_robust_rule(text: str, scale: float) -> None:
    """MPAF: 20 of 100 all send the same scaled step towards a model of their own."""
    honest = honest_updates(80)
    step = scale * honest_updates(1, seed=5)
    updates = torch.cat([step.repeat(20, 1), honest])

    def progress(rule: str) -> float:  # cosine with what the honest participants want
        update = aggregate(rules.parse(rule), updates).update
        return torch.cosine_similarity(update, honest.mean(dim=0), dim=0).item()

    assert progress("fedavg") < 0.5
    assert progress(TEXTS.get(text, text)) > PROGRESS.get(text, 0.8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@each("rule", RULES)
def test_cuda_agrees_with_the_cpu(rule: rules.Rule) -> None:
    updates = honest_updates(40)
    cpu, cuda = aggregate(rule, updates), aggregate(rule, updates.cuda())
    assert cuda.update.device.type == "cuda"
    assert cuda.accepted.device.type == "cpu"
    assert torch.equal(cuda.accepted, cpu.accepted)
    torch.testing.assert_close(cuda.update.cpu(), cpu.update)
