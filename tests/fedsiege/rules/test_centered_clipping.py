import torch

from fedsiege.rules import CenteredClipping, FedAvg, RoundContext
from fedsiege.rules.centered_clipping import Center
from fedsiege.rules.state import from_bytes, to_bytes

UPDATES = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0], [0.0, -2.0]])


def test_the_first_round_clips_around_0() -> None:
    # To length 1: (0.6, 0.8), (0, 1), (0, 0), (0, -1).
    result = CenteredClipping(tau=1)(UPDATES)
    torch.testing.assert_close(result.update, torch.tensor([0.15, 0.2]))
    assert result.scores is not None
    assert result.scores.tolist() == [5.0, 1.0, 0.0, 2.0]


def test_the_second_round_begins_where_the_first_ended() -> None:
    rule = CenteredClipping(tau=1)
    state = Center(torch.tensor([3.0, 3.0]))
    result = rule(torch.tensor([[3.0, 4.0], [3.0, 3.5], [9.0, 3.0]]), state=state)
    torch.testing.assert_close(result.update, torch.tensor([3 + 1 / 3, 3.5]))
    assert isinstance(result.state, Center)
    assert torch.equal(result.state.point, result.update)
    assert state.point.tolist() == [3.0, 3.0]


def test_a_step_moves_it_as_a_round_does() -> None:
    first = CenteredClipping(tau=1)(UPDATES)
    second = CenteredClipping(tau=1)(UPDATES, state=first.state)
    both = CenteredClipping(tau=1, steps=2)(UPDATES)
    torch.testing.assert_close(both.update, second.update)


def test_without_tau_the_median_distance_is_taken() -> None:
    result = CenteredClipping()(UPDATES)  # distances 5, 1, 0, 2: median 1.5
    torch.testing.assert_close(result.update, torch.tensor([0.225, (1.2 + 1 - 1.5) / 4]))


def test_the_state_survives_as_bytes_and_on_absent_participants() -> None:
    rule = CenteredClipping(tau=0.1)
    state = rule(UPDATES, context=RoundContext(participants=torch.arange(4))).state
    assert isinstance(state, Center)
    again = from_bytes(to_bytes(state), Center)
    context = RoundContext(participants=torch.tensor([7, 9]))
    found = rule(UPDATES[:2], context=context, state=again)
    assert torch.equal(found.update, rule(UPDATES[:2], state=state).update)


def test_fakes_hold_the_mean_back_but_not_the_rule_over_rounds() -> None:
    """20 of 50 send the opposite, 50 times as long; v grows towards what the honest want."""
    generator = torch.Generator().manual_seed(0)
    goal = torch.nn.functional.normalize(torch.randn(100, generator=generator), dim=0)
    updates = goal + 0.01 * torch.randn(50, 100, generator=generator)
    updates[:20] = -50 * goal
    rule, state = CenteredClipping(tau=0.5), None
    for _ in range(20):
        result = rule(updates, state=state)
        state = result.state
    assert FedAvg()(updates).update @ goal < -10
    assert result.update @ goal > 0.5
