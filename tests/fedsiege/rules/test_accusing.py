"""Which rules accuse the participants that they give no weight, and which only select."""

import torch

from fedsiege import models, rules
from fedsiege.rules import RoundContext
from fedsiege.training.base import Shard
from tests.cases import each

#: Rules that leave a row out only where they find it suspect.
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
    accusing = {cls.name for cls in rules.registry if cls.accuses}
    assert accusing == ACCUSING, "add a new rule that sets `accuses` to ACCUSING"


@each("name", [c.name for c in rules.registry if c.name != "caf" and not c.accuses])
def test_a_rule_that_accuses_no_participant_leaves_out_a_number_that_is_fixed(name: str) -> None:
    """However far out some rows are. caf is left out: it searches for the best number."""
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
