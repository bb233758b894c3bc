"""Rounds of one to nine updates: a rule says beforehand that it cannot work, or it works."""

import pytest
import torch

from fedsiege import rules
from fedsiege.errors import UnfitRound
from fedsiege.rules import RoundContext, Rule, TolerantRule
from tests.cases import each

#: They work with any number of updates, and on real models: see their own tests.
TRAINING = {"fedredefense", "fltrust", "specguard"}
TEXTS = [
    f"{cls.name}:f={f}" if f is not None else cls.name
    for cls in rules.registry
    if cls.name not in TRAINING
    for f in ((None, 0, 1, 2, 4) if issubclass(cls, TolerantRule) else (None,))
]
TEXTS += ["nnm/krum", "arc:f=1/median", "bucketing:s=2/trimmed-mean:f=1", "clipping/bulyan:f=1"]


def context_of(n: int, d: int) -> RoundContext:
    ones = torch.ones(n, dtype=torch.int64)
    layout = [("weight", (d,))]
    return RoundContext(weights=ones, steps=ones, model=torch.zeros(d), layout=layout)


def refusal(rule: Rule, n: int) -> str:
    """Return why a rule cannot work with n updates; nothing if it can."""
    try:
        rule.for_participants(n)
    except UnfitRound as error:
        return str(error)
    return ""


@each("text", TEXTS)
@each("d", [1, 4])
def test_what_is_refused_beforehand_is_refused_in_the_round_and_nothing_else(
    text: str, d: int
) -> None:
    rule = rules.parse(text)
    for n in range(1, 10):
        updates = torch.randn(n, d, generator=torch.Generator().manual_seed(n))
        refused = refusal(rule, n)
        if refused:
            assert f"there are {n}" in refused or f"of {n} updates" in refused
            with pytest.raises(UnfitRound) as failed:
                rule(updates, context=context_of(n, d))
            assert str(failed.value) == refused
            continue
        result = rule(updates, context=context_of(n, d))
        assert result.update.shape == (d,)
        assert result.update.isfinite().all()
        assert result.accepted.shape == (n,)


@each("name", [c.name for c in rules.registry if issubclass(c, TolerantRule)])
def test_who_is_the_mean_where_nobody_is_assumed_hostile_says_so(name: str) -> None:
    """As where nobody sets f and there are four: a fifth of them is nobody."""
    updates = torch.randn(4, 30, generator=torch.Generator().manual_seed(0))
    rule = rules.create(name)
    is_mean = torch.allclose(rule(updates).update, updates.mean(dim=0), atol=1e-6)
    expected = f"{name} with f=0 is the plain mean, which is no defence"
    assert rule.remark(4) == (expected if is_mean else "")
    assert "plain mean" not in rule.remark(5)
