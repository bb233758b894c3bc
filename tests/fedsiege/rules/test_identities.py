"""Who is who where nobody says who sent: each keeps its place, whoever is left out."""

import pytest
import torch

from fedsiege import models, rules
from fedsiege.rules import Aggregation, RoundContext
from fedsiege.rules.memory import Memory

CONTEXTS = {
    "foolsgold": RoundContext(),
    "fldetector": RoundContext(model=torch.zeros(8)),
    "sentinel": RoundContext(layout=[("weight", (8,))]),
    "fedredefense:iterations=1": RoundContext(
        model=models.random_weights("net", 0), architecture="net"
    ),
}
N = 5


def rows(text: str, number: int) -> torch.Tensor:
    """Return the updates of a round, the third of round 1 too large for an image to make."""
    model = CONTEXTS[text].model
    d = 8 if model is None else len(model)
    updates = 0.1 * torch.randn(N, d, generator=torch.Generator().manual_seed(number))
    if text.startswith("fedredefense"):
        updates.zero_()
        updates[2] = 1e20 if number == 1 else 0.0
    return updates


def of_two_rounds(text: str, participants: torch.Tensor | None) -> Aggregation:
    """Aggregate a round in which all is well, and one whose first row cannot be used."""
    rule, second = rules.parse(text), rows(text, 2)
    first = rule(rows(text, 1), context=CONTEXTS[text])
    if participants is None:
        second[0] = torch.nan
        return rule(second, context=CONTEXTS[text], state=first.state)
    context = RoundContext(**{**vars(CONTEXTS[text]), "participants": participants})
    return rule(second[participants], context=context, state=first.state)


@pytest.mark.parametrize("text", CONTEXTS)
def test_a_row_that_is_left_out_shifts_nobody(text: str) -> None:
    untold, told = of_two_rounds(text, None), of_two_rounds(text, torch.arange(1, N))
    assert isinstance(untold.state, Memory)
    assert untold.state.identities.tolist() == [1, 2, 3, 4, 0]
    assert torch.equal(untold.update, told.update)
    assert torch.equal(untold.accepted[1:], told.accepted)


def test_who_was_banned_stays_so_when_a_row_before_it_is_left_out() -> None:
    result = of_two_rounds("fedredefense:iterations=1", None)
    assert result.accepted.tolist() == [False, True, False, True, True]
