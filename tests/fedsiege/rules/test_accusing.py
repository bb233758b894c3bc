"""Which rules accuse the participants that they give no weight, and which only select."""

import torch

from fedsiege import models, rules
from fedsiege.rules import RoundContext, Rule
from fedsiege.training.base import Shard
from tests.cases import each

#: They leave a row out because a test finds it suspect, and none where the test finds none so.
ACCUSING = {
    "auror",
    "fedredefense",
    "flame",
    "fldetector",
    "fltrust",
    "foolsgold",
    "layerguard",
    "sentinel",
    "signguard",
}
N = 15


def test_rules_that_accuse_say_so() -> None:
    assert {name for name in rules.names() if _class(name).accuses} == ACCUSING


@each("name", sorted(set(rules.names()) - ACCUSING - {"caf"}))
def test_a_rule_that_accuses_no_participant_leaves_out_a_number_that_is_fixed(name: str) -> None:
    """However far out some rows are; caf, which looks for the best number, is told beside it."""
    left_out = set()
    for fakes in (0, 1, 3):
        rows = torch.randn(N, models.size("net"), generator=torch.Generator().manual_seed(fakes))
        rows[:fakes] += 50
        context = RoundContext(
            model=models.random_weights("net", 0),
            layout=models.layout("net"),
            architecture="net",
            steps=torch.full((N,), 2),
            root=Shard(torch.rand(100, 1, 28, 28), torch.arange(100) % 10),
        )
        accepted = rules.create(name)(rows, context=context).accepted
        left_out.add(int((~accepted).sum()))
    assert len(left_out) == 1


def _class(name: str) -> type[Rule]:
    return rules.registry.get(name)
