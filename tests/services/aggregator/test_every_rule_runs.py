"""The rule that a federation is created with is the one that runs, from round to round.

Seen elsewhere: a rule of trust that was switched on, and for months the mean that ran.
"""

import numpy as np
import pytest
import torch

from fedsiege import models, rules
from fedsiege.rules import RoundContext

#: Without the random numbers or the time that some take by default.
TEXTS = {
    "fedredefense": "fedredefense:iterations=1,steps=1",
    "fldetector": "fldetector:window=2",
    "fltrust": "fltrust:root=10,batch=10",
    "specguard": "specguard:root=10",
}
#: The aggregator's own samples, with which these work, are nobody else's business.
ROOT = {"fltrust", "specguard"}
#: What everyone sends here is the same to these as to the mean.
MEANS = {"fedavg", "fldetector"}
N, SEED = 11, 5


def sent(number: int, d: int) -> np.ndarray:
    """Return updates along one direction: one of opposite sign, one long, two nearly equal."""
    draw = np.random.default_rng(number)
    rows = 1e-3 * (1 + draw.standard_normal((N, d), dtype=np.float32))
    rows[0] *= -1
    rows[1] *= 40
    rows[2] = 1.1 * rows[3]
    return rows.astype(np.float32)


@pytest.mark.parametrize("name", [*rules.names(), "nnm/median", "bucketing/krum:f=0"])
async def test_the_named_rule_runs(name: str, create) -> None:
    text = TEXTS.get(name, name)
    federation = await create(rule=text, seed=SEED)
    await federation.enroll(N)
    rule, state, means = rules.parse(text), None, []
    remembers = isinstance(rule, rules.StatefulRule) and name != "fedredefense"  # slow
    for number in (1, 2) if remembers else (1,):
        before = (await federation.model()).copy()
        updates = sent(number, federation.size)
        await federation.open(number)
        for index, update in enumerate(updates):
            await federation.submit(index, update, number, num_samples=4, num_steps=index + 1)
        entry = await federation.closed(number)
        assert entry.problem == ""
        moved = await federation.model() - before
        means.append(np.allclose(moved, updates.mean(axis=0), rtol=1e-3, atol=1e-6))
        if name in ROOT:
            continue
        context = RoundContext(
            weights=torch.full((N,), 4),
            steps=torch.arange(1, N + 1),
            participants=torch.arange(N),
            round_number=number,
            model=torch.from_numpy(before),
            layout=models.layout("net"),
            architecture="net",
            seed=SEED,
        )
        expected = rule(torch.from_numpy(updates), context=context, state=state)
        state = expected.state
        np.testing.assert_allclose(moved, expected.update.numpy(), rtol=1e-3, atol=1e-6)
    assert all(means) == (name in MEANS)
