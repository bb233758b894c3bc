"""FLDetector."""

from collections.abc import Callable

import pytest
import torch

from fedsiege.errors import UnfitRound
from fedsiege.rules import FedAvg, FLDetector, RoundContext, state
from fedsiege.rules.fldetector import FLDetectorState

D, N, FAKES = 30, 20, 5


def federation(
    rule: FLDetector | FedAvg,
    fake: Callable[[torch.Tensor, torch.Generator], torch.Tensor],
    rounds: int = 20,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Everyone descends towards an optimum of its own; return the last model and who was in."""
    generator = torch.Generator().manual_seed(0)
    optima = torch.ones(D) + 0.3 * torch.randn(N, D, generator=generator)
    curvature = torch.linspace(0.05, 0.3, D)
    model, memory = torch.zeros(D), None
    for _ in range(rounds):
        updates = curvature * (optima - model)
        updates += 0.02 * torch.randn(N, D, generator=generator)
        updates[:FAKES] = fake(model, generator)
        result = rule(updates, context=RoundContext(model=model), state=memory)
        model, memory = model + result.update, result.state
    return model, result.accepted


def erratic(model: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return -2 * torch.rand(FAKES, 1, generator=generator) + torch.randn(
        FAKES, D, generator=generator
    )


def mpaf(model: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return 0.2 * (-torch.ones(D) - model).repeat(FAKES, 1)


def test_erratic_fakes_win_under_fedavg_and_are_found_here() -> None:
    optimum = torch.ones(D)
    beaten, _ = federation(FedAvg(), erratic, rounds=60)
    model, accepted = federation(FLDetector(window=5), erratic, rounds=60)
    assert not accepted[:FAKES].any()
    assert accepted[FAKES:].all()
    assert (model - optimum).norm() < (beaten - optimum).norm() / 3


def test_where_all_are_equally_predictable_nobody_is_left_out() -> None:
    """2-means always finds two groups: the gap statistic has to say that there is one."""

    def like_the_others(model: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        optima = torch.ones(D) + 0.3 * torch.linspace(-1, 1, FAKES)[:, None]
        updates = torch.linspace(0.05, 0.3, D) * (optima - model)
        return updates + 0.02 * torch.randn(FAKES, D, generator=generator)

    for rounds in (7, 8, 9, 10):
        _, accepted = federation(FLDetector(window=5), like_the_others, rounds)
        assert accepted.all()


def test_mpaf_is_not_found_since_it_is_easier_to_predict() -> None:
    _, accepted = federation(FLDetector(window=5), mpaf)
    assert accepted[:FAKES].all()


def test_nobody_is_judged_before_the_window_is_full() -> None:
    _, accepted = federation(FLDetector(window=10), erratic, rounds=11)
    assert accepted.all()
    _, accepted = federation(FLDetector(window=10), erratic, rounds=12)
    assert not accepted[:FAKES].any()


def rounds_of(rule: FLDetector, *rounds: tuple[list[int], list[float]]) -> FLDetectorState:
    """Rounds of one weight: who sent, and what."""
    model, memory = torch.zeros(1), None
    for participants, values in rounds:
        context = RoundContext(model=model, participants=torch.tensor(participants))
        updates = torch.tensor(values, dtype=torch.float32)[:, None]
        result = rule(updates, context=context, state=memory)
        model, memory = model + result.update, result.state
    assert isinstance(memory, FLDetectorState)
    return memory


def test_distances_by_hand() -> None:
    """Models 0, 2, 3: the update fell by 1 over a step of 2, so by 1 / 2 over the next step of 1.
    Expected are 1 - .5 and 1 - .5, sent 0 and 2: distances .5 and 1.5."""
    memory = rounds_of(FLDetector(window=2), ([0, 1], [2, 2]), ([0, 1], [1, 1]), ([0, 1], [0, 2]))
    assert memory.steps.tolist() == [[2.0], [1.0]]
    assert memory.changes.tolist() == [[-1.0], [0.0]]
    assert memory.scores[:, -1].tolist() == pytest.approx([0.25, 0.75])


def test_memory_goes_by_identity_and_outlives_absence() -> None:
    """1 is away in the third round; in the fourth it is predicted over both steps since."""
    memory = rounds_of(
        FLDetector(window=2),
        ([0, 1], [2, 2]),
        ([0, 1], [1, 1]),
        ([0], [0.5]),
        ([1, 0], [0.25, 1.25]),
    )
    by_identity = dict(zip(memory.identities.tolist(), memory.scores, strict=True))
    # Models 0, 2, 3, 3.5 on one line of slope -1 / 2: expected .25 of both; sent .25 and 1.25.
    assert by_identity[1][-1].item() == pytest.approx(0.0, abs=1e-6)
    assert by_identity[0][-1].item() == pytest.approx(1.0)
    assert torch.isnan(by_identity[1][0])
    again = state.from_bytes(state.to_bytes(memory), FLDetectorState)
    assert torch.equal(again.updates, memory.updates)


def test_rounds_that_did_not_move_the_model_count_as_no_step() -> None:
    """Models 0, 2, 3 and then 3.5 three times; over the last step the update fell by as much. Of 1,
    last there at 3 with .5, 0 is expected at 3.5, and it sends that."""
    memory = rounds_of(
        FLDetector(window=5),
        ([0, 1], [2, 2]),
        ([0, 1], [1, 1]),
        ([0, 1], [0.5, 0.5]),
        ([0, 2], [0.25, -0.25]),
        ([0, 2], [0.25, -0.25]),
        ([0, 1], [0.5, 0.0]),
    )
    assert memory.steps.flatten().tolist() == [2.0, 1.0, 0.5, 0.0, 0.0]
    by_identity = dict(zip(memory.identities.tolist(), memory.scores[:, -1], strict=True))
    assert by_identity[1].item() == pytest.approx(0.0, abs=1e-6)
    assert by_identity[0].item() == pytest.approx(1.0)


def test_the_largest_updates_leave_later_rounds_something_to_predict_from() -> None:
    """One that is alone sends the largest number and its negative; their difference has none."""
    rule, model, memory = FLDetector(window=2), torch.zeros(5), None
    generator = torch.Generator().manual_seed(0)
    for number in range(6):
        alone = number < 3
        sent = torch.full((1, 5), torch.finfo(torch.float32).max * (-1) ** number)
        updates = sent if alone else torch.randn(4, 5, generator=generator)
        who = torch.zeros(1, dtype=torch.int64) if alone else torch.arange(1, 5)
        result = rule(updates, context=RoundContext(model=model, participants=who), state=memory)
        memory, model = result.state, model + 0.01
        assert isinstance(memory, FLDetectorState)
        assert memory.changes.isfinite().all()
        assert result.update.isfinite().all()
    assert isinstance(memory, FLDetectorState)
    assert memory.scores.isfinite().all(dim=1).sum() == 4


def test_memory_is_no_view_of_what_the_caller_goes_on_with() -> None:
    updates, model = torch.ones(3, 2), torch.zeros(2)
    result = FLDetector()(updates, context=RoundContext(model=model))
    for tensor in (updates, model, result.update):
        tensor.fill_(9.0)
    assert isinstance(result.state, FLDetectorState)
    assert result.state.updates.tolist() == [[1.0, 1.0]] * 3
    assert result.state.mean.tolist() == [1.0, 1.0]
    assert result.state.model.tolist() == [0.0, 0.0]


def test_it_needs_the_model() -> None:
    with pytest.raises(UnfitRound, match="fldetector needs to know the round's model"):
        FLDetector()(torch.ones(3, 2))
    with pytest.raises(UnfitRound, match="a model of 4, updates of 2"):
        FLDetector()(torch.ones(3, 2), context=RoundContext(model=torch.zeros(4)))
