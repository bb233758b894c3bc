"""What a rule asks of its parameters and of the number of updates, in words."""

import pytest
import torch

from fedsiege import rules
from fedsiege.errors import InvalidValue, UnfitRound
from tests.cases import each
from tests.fedsiege.rules.cases import TOLERANT, aggregate, honest_updates


@each(
    ("text", "n", "numbers"),
    [
        ("trimmed-mean:f=3", 6, ["f=3", "6 updates", "there are 6"]),
        ("krum:f=20", 42, ["f=20", "43 updates", "there are 42"]),
        ("multi-krum:f=20", 42, ["f=20", "43 updates", "there are 42"]),
        ("multi-krum:m=10", 9, ["m=10", "10 updates", "there are 9"]),
        ("krum", 2, ["f=0", "3 updates", "there are 2"]),
        ("bulyan:f=3", 14, ["f=3", "15 updates", "there are 14"]),
        ("meamed:f=3", 6, ["f=3", "6 updates", "there are 6"]),
        ("mda:f=3", 6, ["f=3", "6 updates", "there are 6"]),
        ("smea:f=3", 6, ["f=3", "6 updates", "there are 6"]),
        ("caf:f=3", 6, ["f=3", "6 updates", "there are 6"]),
        ("nnm:f=3/median", 3, ["f=3", "3 updates", "there are 3"]),
        ("arc:f=3/median", 6, ["f=3", "6 updates", "there are 6"]),
        ("bucketing:s=2/krum:f=2", 12, ["makes 6 rows of 12", "f=2", "7 updates", "there are 6"]),
        ("clipping/krum:f=20", 42, ["f=20", "43 updates", "there are 42"]),
    ],
)
def test_too_few_updates_is_an_unfit_round_with_the_numbers(
    text: str, n: int, numbers: list[str]
) -> None:
    rule = rules.parse(text)
    with pytest.raises(UnfitRound) as refused:
        aggregate(rule, honest_updates(n))
    assert all(number in str(refused.value) for number in numbers), refused.value
    with pytest.raises(UnfitRound):
        rule.for_participants(n)
    aggregate(rule, honest_updates(n + 1))


def test_rows_left_out_do_not_count_for_f() -> None:
    updates = honest_updates(43)
    rules.parse("krum:f=20")(updates)
    updates[0, 0] = torch.nan
    with pytest.raises(UnfitRound, match="there are 42"):
        rules.parse("krum:f=20")(updates)


@each("name", TOLERANT)
@each(("n", "f"), [(3, 0), (7, 1), (14, 2), (99, 19), (100, 20)])
def test_f_is_a_fifth_of_the_participants_where_nobody_says(name: str, n: int, f: int) -> None:
    if name == "smea" and n > 25:
        pytest.skip("more subsets than it can compare")
    rule = rules.create(name)
    assert rule.for_participants(n) == rules.create(name, f=f)
    assert rules.create(name, f=0).for_participants(n) == rules.create(name, f=0)
    updates = honest_updates(n)
    settled = aggregate(rules.create(name, f=f), updates)
    assert torch.equal(aggregate(rule, updates).update, settled.update)


@each(
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
        "bulyan:f=-1",
        "caf:f=-1",
        "centered-clipping:tau=0",
        "centered-clipping:steps=0",
        "mda:f=-1",
        "meamed:f=-1",
        "smea:f=-1",
    ],
)
def test_an_impossible_parameter_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        rules.parse(text)
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
        rules.create(name, **parameters)
