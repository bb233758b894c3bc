"""FoolsGold."""

import math

import pytest
import torch

from fedsiege.rules import FedAvg, FoolsGold, RoundContext, state
from fedsiege.rules.foolsgold import FoolsGoldState, foolsgold_weights


def from_whom(*participants: int) -> RoundContext:
    return RoundContext(participants=torch.tensor(participants))


def test_pardoning_and_logit_by_hand() -> None:
    """v = .8, .8, .4. The third is pardoned by .4 / .8: its cosines are .2 and .1."""
    similarity = torch.tensor([[1.0, 0.8, 0.4], [0.8, 1.0, 0.2], [0.4, 0.2, 1.0]]).double()
    first = (1 - 0.8) / (1 - 0.2)
    logit = math.log(first / (1 - first)) + 0.5
    assert logit < 0
    assert foolsgold_weights(similarity).tolist() == [0.0, 0.0, 1.0]
    similarity[0, 1] = similarity[1, 0] = 0.7
    # v = .7, .7, .4; pardoned .4 * .4 / .7. Without it the weight would be the .5 of log(1) + .5.
    first = (1 - 0.7) / (1 - 0.4 * 0.4 / 0.7)
    logit = math.log(first / (1 - first)) + 0.5
    assert 0 < logit < 0.1
    assert foolsgold_weights(similarity).tolist() == pytest.approx([logit, logit, 1.0])


def test_identical_fakes_get_nothing_and_lose() -> None:
    honest = torch.eye(8) + 0.1
    fakes = torch.full((1, 8), -50.0).repeat(4, 1)
    updates = torch.cat([fakes, honest])
    result = FoolsGold()(updates)
    assert (FedAvg()(updates).update < 0).all()
    assert not result.accepted[:4].any()
    assert result.accepted[4:].all()
    # Divided by the weights and not by n: the step has the size of an honest update.
    torch.testing.assert_close(result.update, honest.mean(dim=0))


def test_where_all_are_alike_the_model_is_kept() -> None:
    result = FoolsGold()(torch.ones(5, 3))
    assert result.update.tolist() == [0.0] * 3
    assert not result.accepted.any()


def test_history_is_kept_by_identity_not_by_position() -> None:
    """Rows swap places between rounds; 0 and 1 pulled the same way before and still share it."""
    first = torch.tensor([[5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
    after = FoolsGold()(first, context=from_whom(0, 1, 2)).state
    second = torch.eye(3)
    result = FoolsGold()(second, context=from_whom(2, 0, 1), state=after)
    assert result.accepted.tolist() == [True, False, False]
    assert isinstance(result.state, FoolsGoldState)
    by_identity = dict(zip(result.state.identities.tolist(), result.state.history, strict=True))
    assert by_identity[0].tolist() == [5.0, 1.0, 0.0]
    assert by_identity[2].tolist() == [1.0, 0.0, 5.0]


def test_who_is_absent_is_remembered_and_states_survive_being_written() -> None:
    rule = FoolsGold()
    after = rule(torch.eye(3), context=from_whom(0, 1, 2)).state
    after = rule(torch.eye(3)[:1], context=from_whom(1), state=after).state
    after = state.from_bytes(state.to_bytes(after), FoolsGoldState)
    assert sorted(after.identities.tolist()) == [0, 1, 2]
    last = rule(torch.zeros(1, 3), context=from_whom(2), state=after).state
    assert isinstance(last, FoolsGoldState)
    assert last.history[0].tolist() == [0.0, 0.0, 1.0]
    assert after.rounds == 2


def test_memory_is_no_view_of_the_updates() -> None:
    updates = torch.eye(3)
    after = FoolsGold()(updates).state
    updates.fill_(9.0)  # the next round's are written into the same matrix
    assert isinstance(after, FoolsGoldState)
    assert torch.equal(after.history, torch.eye(3))


def test_new_identities_every_round_do_not_fill_the_memory() -> None:
    rule, after = FoolsGold(remember=5), None
    for start in range(0, 40, 4):
        context = from_whom(*range(start, start + 4))
        after = rule(torch.randn(4, 6), context=context, state=after).state
        assert isinstance(after, FoolsGoldState)
        assert len(after.history) <= 5
