"""Every rule as the shared tests ask for it, and updates to try it on.

The shared tests find a new rule by the registry. It needs an entry in the sets below only where a
test fails and says so.
"""

import dataclasses

import torch

from fedsiege import rules
from fedsiege.errors import UnfitRound

#: Rules that are asked for with other parameters than their defaults: without the noise that would
#: hide what is tested, or with fewer subsets to compare.
TEXTS = {
    "crfl": "crfl:noise=0",
    "dp-fedavg": "dp-fedavg:noise=0",
    "flame": "flame:noise=0",
    "smea": "smea:f=1",
    "weak-dp": "weak-dp:noise=0",
}
#: Rules that train the model on data of their own or look for data that train it so: they have
#: tests of their own, with real models.
TRAINING = {"fedredefense", "fltrust", "specguard"}
#: Rules that must withstand MPAF and one huge update with their defaults. A new rule is held to
#: that from when its name is added here. The others withstand attacks of their own: see ATTACKED in
#: test_defences.py.
ROBUST = [
    "auror",
    "bulyan",
    "caf",
    "centered-clipping",
    "dnc",
    "flame",
    "foolsgold",
    "foundationfl",
    "geometric-median",
    "krum",
    "layerguard",
    "mda",
    "meamed",
    "median",
    "multi-krum",
    "norm-clipping",
    "rfout1d-robust",
    "sentinel",
    "signguard",
    "smea",
    "trimmed-mean",
    "weak-dp",
]
#: Rules that give no weight to updates that are like each other.
AGAINST_SYBILS = {"foolsgold", "layerguard", "sentinel"}
#: The least cosine with the honest mean under MPAF, where it is not 0.8.
PROGRESS = {"foundationfl": 0.75}
NAMES = [name for name in rules.names() if name not in TRAINING]
STREAMING = [
    "fedavg",
    "fedavg:weighted=true",
    "fedavg:weighted=true,bound=3",
    "norm-clipping:bound=1",
]
PIPELINES = [
    "nnm/median",
    "bucketing/median",
    "clipping:bound=1/trimmed-mean",
    "arc/nnm/multi-krum",
]
CASES = [
    *(TEXTS.get(name, name) for name in NAMES),
    *STREAMING[1:],
    *PIPELINES,
    "bulyan:f=0",
    "centered-clipping:tau=1,steps=3",
    "multi-krum:m=1",
    "trimmed-mean:f=0",
]
TOLERANT = [name for name in NAMES if issubclass(rules.registry.get(name), rules.TolerantRule)]
#: Rules whose result must be the same to the last bit when the rows come in another order. All
#: others, pipelines among them, may round sums of float32 products differently.
EXACT = {
    "auror",
    "bulyan",
    "crfl",
    "dp-fedavg",
    "fedavg",
    "fednova",
    "flame",
    "fldetector",
    "foolsgold",
    "foundationfl",
    "krum",
    "mda",
    "meamed",
    "median",
    "multi-krum",
    "norm-clipping",
    "rfout1d",
    "rfout1d-robust",
    "signguard",
    "smea",
    "trimmed-mean",
    "weak-dp",
}


def honest_updates(n: int, d: int = 50, seed: int = 0) -> torch.Tensor:
    """A common direction of norm about 1 with noise of norm about 0.5 per participant."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(d, generator=generator) / d**0.5
    noise = torch.randn(n, d, generator=generator) / d**0.5
    return direction + 0.5 * noise


def sample_counts(n: int) -> torch.Tensor:
    return torch.arange(n) % 7


def context_of(updates: torch.Tensor) -> rules.RoundContext:
    """All that can be known of a round without a data set."""
    n, d = updates.shape if updates.ndim == 2 else (0, 0)
    return rules.RoundContext(
        steps=torch.full((n,), 4),
        participants=100 + torch.arange(n),
        round_number=1,
        model=torch.zeros(d),
        layout=[("weight", (d // 2,)), ("bias", (d - d // 2,))] if d > 1 else [("weight", (d,))],
        seed=3,
    )


def aggregate(
    rule: rules.Rule,
    updates: torch.Tensor,
    counts: torch.Tensor | None = None,
    rows: torch.Tensor | None = None,
) -> rules.Aggregation:
    """Run a rule over the updates, or over those rows of them, in that order."""
    context = context_of(updates)
    if counts is None and updates.ndim == 2:
        counts = sample_counts(len(updates))
    if rows is None:
        return rule(updates, counts, context=context)
    assert counts is not None
    assert context.steps is not None
    assert context.participants is not None
    context = dataclasses.replace(
        context, steps=context.steps[rows], participants=context.participants[rows]
    )
    return rule(updates[rows], counts[rows], context=context)


def assert_same(rule: rules.Rule, found: torch.Tensor, expected: torch.Tensor) -> None:
    """Check that two updates are equal to the last bit, or but for rounding if not in EXACT."""
    if rules.spell(rule).partition(":")[0] in EXACT:
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    else:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def works_with(text: str, n: int) -> bool:
    """Whether a rule takes n updates at all."""
    try:
        rules.parse(text).for_participants(n)
    except UnfitRound:
        return False
    return True
