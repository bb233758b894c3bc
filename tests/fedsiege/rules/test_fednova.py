"""FedNova: what it is, and that claims do not amplify."""

import pytest
import torch

from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import FedAvg, FedNova, RoundContext

UPDATES = torch.tensor([[2.0, 0.0], [0.0, 8.0]])
COUNTS = torch.tensor([1, 3])
STEPS = torch.tensor([2, 4])


def aggregate(rule: FedNova, steps: torch.Tensor = STEPS) -> torch.Tensor:
    return rule(UPDATES, COUNTS, context=RoundContext(steps=steps)).update


@pytest.mark.parametrize(
    ("rule", "work", "effective"),
    [
        (FedNova(weighted=True), (2.0, 4.0), 3.5),
        # c = 1, 1.5, 1.75, 1.875
        (FedNova(weighted=True, momentum=0.5), (2.5, 6.125), 0.25 * 2.5 + 0.75 * 6.125),
        # 1 + .5, and 1 + .5 + .25 + .125; tau_eff is of the steps
        (FedNova(weighted=True, mu=5.0, lr=0.1), (1.5, 1.875), 3.5),
    ],
)
def test_the_three_formulas_by_hand(
    rule: FedNova, work: tuple[float, float], effective: float
) -> None:
    expected = [effective * 0.25 * 2.0 / work[0], effective * 0.75 * 8.0 / work[1]]
    assert aggregate(rule).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_momentum_adds_up_as_the_recursion_does(rho: float) -> None:
    for tau in (1, 2, 7, 40):
        counter = total = 0.0
        for _ in range(tau):
            counter = rho * counter + 1
            total += counter
        work = FedNova(momentum=rho).work(torch.tensor([tau], dtype=torch.float64))
        assert work.item() == pytest.approx(total)


def test_equal_steps_are_fedavg() -> None:
    steps = torch.tensor([5, 5])
    for weighted in (False, True):
        fedavg = FedAvg(weighted=weighted)(UPDATES, COUNTS).update
        for momentum in (0.0, 0.9):
            rule = FedNova(weighted=weighted, momentum=momentum)
            torch.testing.assert_close(aggregate(rule, steps), fedavg)


def test_with_its_defaults_it_differs_from_fedavg_in_one_thing() -> None:
    """Both are unweighted: where all make the same steps, they are the same rule."""
    assert FedNova().weighted == FedAvg().weighted
    counts, steps = torch.tensor([1, 300]), torch.tensor([5, 5])
    nova = FedNova()(UPDATES, counts, context=RoundContext(steps=steps)).update
    torch.testing.assert_close(nova, FedAvg()(UPDATES, counts).update)


def test_counts_that_are_cut_are_remarked_on() -> None:
    """A sample count above the bound, and step counts beyond the spread on either side."""
    counts, steps = torch.tensor([3000, 500, 2000]), torch.tensor([100, 10, 9])
    updates = torch.ones(3, 2)
    result = FedNova(weighted=True)(updates, counts, context=RoundContext(steps=steps))
    assert result.remarks == (
        "fednova counts 1000 samples for 2 of 3 participants that report more, 3000 at most; "
        "fednova:bound=N changes that",
    )
    result = FedNova(spread=5.0)(updates, counts, context=RoundContext(steps=steps))
    assert result.remarks == (
        "fednova counts 50 steps, 5 times the median, for 1 of 3 participants that report more, "
        "100 at most; fednova:spread=X changes that",
    )
    few = RoundContext(steps=torch.tensor([1, 100, 100]))
    assert FedNova()(updates, counts, context=few).remarks == (
        "fednova counts 10 steps, the median over 10, for 1 of 3 participants that report fewer, "
        "1 at least; fednova:spread=X changes that",
    )
    even = RoundContext(steps=torch.tensor([100, 50, 90]))
    assert FedNova(weighted=True, bound=3000)(updates, counts, context=even).remarks == ()


def test_more_local_steps_do_not_shift_the_objective() -> None:
    """Two participants with optima -1 and +1: fedavg ends near the busy one's, FedNova between."""
    optima, steps, lr = torch.tensor([-1.0, 1.0]), torch.tensor([1, 10]), 0.05
    ends = {}
    for rule in (FedAvg(), FedNova(weighted=False)):
        model = torch.zeros(1)
        for _ in range(200):
            updates = (optima - model) * (1 - (1 - lr) ** steps)
            model = model + rule(updates[:, None], context=RoundContext(steps=steps)).update
        ends[rule.name] = model.item()
    assert ends["fedavg"] > 0.7
    assert abs(ends["fednova"]) < 0.15


def test_a_forged_step_count_amplifies_no_more_than_the_spread() -> None:
    """10 of 100 say they made 1 step where everyone made 1000."""
    updates = torch.zeros(100, 1)
    updates[:10] = 1.0
    steps = torch.full((100,), 1000)
    context = RoundContext(steps=steps)
    honest = FedNova(weighted=False)(updates, context=context).update.item()
    steps[:10] = 1
    forged = FedNova(weighted=False, spread=4.0)(updates, context=context).update.item()
    unbounded = FedNova(weighted=False, spread=1e9)(updates, context=context).update.item()
    assert honest == pytest.approx(0.1)
    assert forged <= 4 * honest
    assert unbounded > 800 * honest


@pytest.mark.parametrize("claim", [-5, 0, 10**9])
def test_impossible_counts_are_bounded(claim: int) -> None:
    counts = torch.tensor([claim, 1])
    update = FedNova(weighted=True, bound=1)(
        UPDATES, counts, context=RoundContext(steps=STEPS)
    ).update
    expected = FedNova(weighted=False)(UPDATES, context=RoundContext(steps=STEPS)).update
    assert torch.equal(update, expected)


def test_what_it_does_not_know_it_asks_for() -> None:
    with pytest.raises(UnfitRound, match="steps"):
        FedNova()(UPDATES, COUNTS)
    with pytest.raises(UnfitRound, match="weights"):
        FedNova(weighted=True)(UPDATES, context=RoundContext(steps=STEPS))


def test_adam_has_no_formula() -> None:
    with pytest.raises(InvalidValue, match="fednova:optimizer='adam' is not possible: sgd"):
        FedNova(optimizer="adam")


def test_momentum_and_a_proximal_term_have_no_formula() -> None:
    with pytest.raises(InvalidValue, match="fednova:mu"):
        FedNova(momentum=0.5, mu=0.1)
    with pytest.raises(InvalidValue, match="fednova:mu"):
        FedNova(mu=200.0, lr=0.01)


def test_rows_that_would_lead_beyond_float32_keep_the_model() -> None:
    """The first says it made 1 step where the others made 10, and so counts tenfold."""
    updates = torch.ones(5, 3)
    updates[0] = 3e38
    steps = torch.tensor([1, 10, 10, 10, 10])
    result = FedNova(weighted=False)(updates, context=RoundContext(steps=steps))
    assert result.update.tolist() == [0.0] * 3
    assert not result.accepted.any()
