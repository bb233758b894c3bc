import numpy as np
import pytest
import torch

from fedsiege import rules
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.rules import Pipeline, RoundContext, pipeline, pre
from tests.cases import each


def rows(n: int = 20, d: int = 30) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "text",
    [
        "nnm:f=3/bucketing:s=2/krum:f=3",
        "clipping/fedavg:weighted=False,bound=1000",
        "clipping:bound=1.5/arc:f=2/nnm:f=1/median",
    ],
)
def test_it_is_spelled_as_it_was_written(text: str) -> None:
    rule = rules.parse(text)
    assert isinstance(rule, Pipeline)
    assert rules.spell(rule) == text
    assert rules.parse(rules.spell(rule)) == rule


def test_its_name_is_for_people() -> None:
    assert rules.parse("nnm:f=3/bucketing:s=2/krum:f=3").name == "nnm/bucketing/krum"


def test_it_is_created_from_python_too() -> None:
    expected = rules.parse("nnm:f=3/bucketing:s=4/krum:f=2")
    assert rules.create("krum", f=2, pre=["nnm:f=3", pre.Bucketing(s=4)]) == expected
    assert rules.create("krum", f=2, pre=[]) == rules.create("krum", f=2)


@each(
    ("text", "name", "part"),
    [
        ("nnn/krum", "pre-aggregator", "did you mean nnm"),
        ("nnm/krun", "rule", "did you mean krum"),
        ("nnm/", "rule", "There are"),
        ("/krum", "pre-aggregator", "There are"),
        ("krum/nnm", "rule", "nnm comes in front of a rule, as in nnm/median"),
        ("krum/median", "pre-aggregator", f"There are: {', '.join(pre.names())}"),
        ("nnm:f=x/krum", "nnm:f", "a whole number"),
        ("nnm:s=2/krum", "nnm:s", "it takes f"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, name: str, part: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        rules.parse(text)
    assert refused.value.name == name
    assert part in refused.value.allowed


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("nnm/bucketing:s=2/krum", "nnm:f=20/bucketing:s=2/krum:f=20"),
        ("nnm:f=3/krum", "nnm:f=3/krum:f=3"),
        ("nnm/krum:f=3", "nnm:f=3/krum:f=3"),
        ("nnm:f=5/arc/krum:f=3", "nnm:f=5/arc:f=3/krum:f=3"),
        ("nnm/median", "nnm:f=20/median"),
        ("bucketing:s=2/multi-krum:m=7", "bucketing:s=2/multi-krum:f=20,m=7"),
    ],
)
def test_all_steps_assume_the_same_f(text: str, resolved: str) -> None:
    rule = rules.parse(text).for_participants(100)
    assert rules.spell(rule) == resolved
    assert rule.for_participants(100) == rule


def test_a_chain_is_checked_before_the_round_with_the_rows_it_makes() -> None:
    rule = rules.parse("bucketing:s=3/krum")
    with pytest.raises(UnfitRound) as refused:
        rule.for_participants(100)
    text = str(refused.value)
    assert text.startswith("bucketing/krum makes 34 rows of 100 updates: krum with f=20 needs")
    with pytest.raises(UnfitRound):
        rule.check(100)


def test_the_steps_really_run_in_their_order() -> None:
    updates, context = rows(), RoundContext(seed=5, round_number=2)
    mixed = pre.NNM(f=4).transform(updates, context)
    buckets = pre.Bucketing(s=2).transform(mixed.rows, context)
    expected = rules.create("krum", f=3)(buckets.rows)
    found = rules.parse("nnm:f=4/bucketing:s=2/krum:f=3")(updates, context=context)
    assert torch.equal(found.update, expected.update)


@pytest.mark.parametrize(
    "step", ["nnm:f=4", "bucketing:s=3", "clipping", "arc:f=4", "clipping:bound=99"]
)
@pytest.mark.parametrize("name", ["median", "trimmed-mean:f=2", "meamed:f=2", "fedavg"])
def test_by_columns_or_at_once_is_the_same(
    step: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "_BLOCK", 1)  # seven columns at a time, the last block narrower
    updates, context = rows(), RoundContext(seed=5)
    whole = pre.parse(step).transform(updates, context).rows
    expected = rules.parse(name)(whole)
    found = rules.parse(f"{step}/{name}")(updates, context=context)
    torch.testing.assert_close(found.update, expected.update, rtol=1e-6, atol=1e-7)
    assert found.accepted.all()
    assert found.scores is None


@each("name", rules.names())
def test_a_rule_that_works_by_coordinate_says_so_truly(name: str) -> None:
    rule, updates = rules.create(name), rows()
    if not rule.by_coordinate:
        return
    updates[3] *= 1e6
    whole = rule(updates)
    parts = [rule(part).update for part in (updates[:, :7], updates[:, 7:])]
    assert torch.equal(torch.cat(parts), whole.update)
    assert whole.accepted.all()
    assert whole.scores is None


def test_what_a_rule_says_of_buckets_is_said_of_their_members() -> None:
    updates = rows()
    result = rules.parse("bucketing:s=2/krum:f=2")(updates)
    chosen = result.accepted.nonzero().flatten()
    assert len(chosen) == 2
    torch.testing.assert_close(result.update, updates[chosen].mean(dim=0))
    assert result.scores is not None
    assert result.scores.shape == (20,)
    assert result.scores[chosen].unique().tolist() == [result.scores.min()]
    assert len(result.scores.unique()) == 10


def test_with_nnm_all_that_were_mixed_into_the_chosen_row_count() -> None:
    updates = rows()
    result = rules.parse("nnm:f=4/krum:f=4")(updates)
    assert int(result.accepted.sum()) == 16
    torch.testing.assert_close(result.update, updates[result.accepted].mean(dim=0))
    assert result.scores is not None
    assert result.accepted[result.scores.argmin()]


def test_rows_that_are_not_finite_are_left_out_before_anything_is_mixed() -> None:
    updates = rows()
    updates[3, 3] = torch.nan
    result = rules.parse("nnm/bucketing/krum:f=2")(updates)
    assert not result.accepted[3]
    assert result.scores is not None
    assert result.scores.isnan().nonzero().flatten().tolist() == [3]
    assert result.update.isfinite().all()


def test_the_memory_of_a_rule_is_carried_through() -> None:
    rule = rules.parse("bucketing/centered-clipping:tau=0.1")
    first = rule(rows(), context=RoundContext(round_number=1))
    second = rule(rows(), context=RoundContext(round_number=2), state=first.state)
    assert 0.15 < second.update.norm() / first.update.norm() - 0.5 < 1.6
    assert not torch.equal(second.update, first.update)


def test_who_remembers_participants_cannot_be_given_buckets() -> None:
    with pytest.raises(InvalidValue, match="foolsgold remembers participants, and bucketing"):
        rules.parse("nnm/bucketing/foolsgold")
    rules.parse("nnm/clipping/foolsgold")


def test_an_experiment_settles_it() -> None:
    resolved = resolve(ExperimentSpec(rule="nnm/bucketing:s=2/krum", clients=50, attack=0.3))
    assert resolved.spec.rule == "nnm:f=10/bucketing:s=2/krum:f=10"
    assert resolve(resolved.spec).spec == resolved.spec
    assert any("assumes f=10" in note for note in resolved.notes)
    assert any("15 participants are hostile" in note for note in resolved.notes)
    with pytest.raises(InvalidValue, match="makes 13 rows of 50 updates"):
        resolve(ExperimentSpec(rule="bucketing:s=4/krum", clients=50))


@pytest.mark.parametrize("steps", ["nnm", "arc/nnm", "nnm/clipping"])
def test_mixing_saves_a_rule_that_heterogeneity_breaks(steps: str) -> None:
    """ALIE: fakes within the spread of the honest move the median; mixed first, hardly."""
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(16, 400, generator=generator)
    mean, deviation = honest.mean(dim=0), honest.std(dim=0)
    updates = torch.cat([(mean - 1.5 * deviation).repeat(7, 1), honest])

    def error(text: str) -> float:
        return (rules.parse(text)(updates).update - mean).norm().item()

    assert error("fedavg") > 8
    assert error(f"{steps}/trimmed-mean:f=7") < 0.8 * error("trimmed-mean:f=7")


@each(
    ("text", "n", "out", "expected"),
    [
        ("bulyan:f=4", 16, 4, "bulyan:f=3"),  # no lower than it has to be
        ("bulyan:f=4", 4, 16, "bulyan:f=0"),
        ("bulyan:f=4", 2, 18, "bulyan:f=4"),  # nothing helps
        ("bulyan:f=4", 15, 0, "bulyan:f=4"),  # who is missing otherwise is no hostile one
        ("krum:f=4", 16, 4, "krum:f=4"),
        ("multi-krum:f=1,m=16", 14, 6, "multi-krum:f=0,m=14"),
        ("nnm:f=4/bulyan:f=4", 16, 4, "nnm:f=3/bulyan:f=3"),
        ("bulyan", 16, 4, "bulyan"),  # a fifth of those who are there
        ("median", 1, 4, "median"),
    ],
)
def test_those_put_out_need_not_be_tolerated_too(
    text: str, n: int, out: int, expected: str
) -> None:
    found = pipeline.without(rules.parse(text), n, out)
    assert rules.spell(found).removesuffix(",m=none") == expected


@pytest.mark.parametrize(
    "rule", ["fednova", "fednova:weighted=false", "fedavg:weighted=true", "fldetector"]
)
def test_buckets_report_nothing_and_are_of_nobody(rule: str) -> None:
    with pytest.raises(InvalidValue, match=r"and bucketing merges them"):
        rules.parse(f"clipping/bucketing/{rule}")
    rules.parse(f"clipping/{rule}")
    rules.parse("nnm/fedavg:weighted=true")(rows(), torch.arange(20))


def test_what_can_never_work_is_refused_under_its_variable() -> None:
    with pytest.raises(InvalidValue, match="RULE='bucketing/fednova' is not possible: fednova "):
        resolve(ExperimentSpec(rule="bucketing/fednova"))
    resolve(ExperimentSpec(rule="bucketing/fedavg"))


def test_pre_aggregators_are_given_as_one_or_several() -> None:
    wanted = rules.parse("nnm:f=3/bucketing:s=2/krum:f=3")
    nnm, bucketing = pre.create("nnm", f=3), pre.create("bucketing", s=2)
    for given in (
        "nnm:f=3/bucketing:s=2",
        ["nnm:f=3", "bucketing:s=2"],
        (nnm, "bucketing:s=2"),
        iter([nnm, bucketing]),
    ):
        assert rules.create("krum", f=np.int64(3), pre=given) == wanted, given
    assert rules.create("krum", pre=nnm) == rules.create("krum", pre="nnm:f=3")
    assert rules.create("krum", pre=()) == rules.create("krum")
    for wrong in (None, 3, [3], "krum", [nnm, None]):
        with pytest.raises(InvalidValue, match="pre"):
            rules.create("krum", pre=wrong)
