"""Rules that need no matrix."""

import pytest
import torch

from fedsiege import rules
from tests.fedsiege.rules.cases import STREAMING, honest_updates, sample_counts


@pytest.mark.parametrize("text", STREAMING)
def test_streaming_in_any_order_equals_the_matrix_bit_for_bit(text: str) -> None:
    rule = rules.parse(text)
    assert rule.streams
    assert isinstance(rule, rules.StreamingRule)
    updates, counts = honest_updates(30), sample_counts(30)
    updates[::5] *= 1e6
    total = rules.RunningSum(50)
    for i in torch.randperm(30, generator=torch.Generator().manual_seed(2)).tolist():
        row, count = updates[i].numpy(), int(counts[i])
        norm = rules.norm_of(row)
        total.add(row, rule.weight_of(norm, count), rule.mass_of(norm, count))
    assert torch.equal(total.mean(), rule(updates, counts).update)


def test_only_rules_that_can_stream_say_so() -> None:
    streaming = {name for name in rules.names() if rules.create(name).streams}
    assert streaming == {"fedavg"}, "add a new rule that streams here and to STREAMING in cases.py"
