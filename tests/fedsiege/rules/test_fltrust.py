"""FLTrust."""

from collections.abc import Callable

import pytest
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import FedAvg, FLTrust, RoundContext
from fedsiege.rules.fltrust import trusting
from fedsiege.rules.root_data import RootData
from fedsiege.training.base import Shard, batch_order
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalAdam, LocalOptimiser, LocalSGD


def shard(seed: int, samples: int = 30) -> Shard:
    """Three of ten classes, each a pattern of its own with noise."""
    patterns = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (samples,), generator=generator)
    noise = torch.randn(samples, 1, 28, 28, generator=generator)
    return Shard(patterns[labels] + 0.3 * noise, labels)


def round_of(root: Shard | None) -> RoundContext:
    return RoundContext(model=models.random_weights("net", 0), architecture="net", root=root)


def test_trust_and_scaling_by_hand() -> None:
    """Cosines 1, .6, -1 and 0; everyone is brought to the norm 2 of the root update."""
    updates = torch.tensor([[100.0, 0.0], [3.0, 4.0], [-5.0, 0.0], [0.0, 0.0]])
    result = trusting(updates, torch.tensor([2.0, 0.0]))
    assert result.scores is not None
    assert result.scores.tolist() == pytest.approx([1, 0.6, 0, 0])
    assert result.accepted.tolist() == [True, True, False, False]
    expected = [(1 * 2 + 0.6 * 1.2) / 1.6, 0.6 * 1.6 / 1.6]
    assert result.update.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("root", [[1.0, 0.0], [0.0, 0.0], [torch.nan, 0.0], [torch.inf, 1.0]])
def test_where_nobody_can_be_trusted_the_model_is_kept(root: list[float]) -> None:
    """Not the mean: that fall-back hands the model to those who turned everyone away."""
    result = trusting(torch.tensor([[-1.0, 0.0], [-2.0, 1.0]]), torch.tensor(root))
    assert result.update.tolist() == [0.0, 0.0]
    assert not result.accepted.any()


@pytest.mark.parametrize("optimiser", [LocalSGD(0.1, 0.5, 2, 30), LocalAdam(0.01, 2, 30)])
def test_the_root_update_is_that_of_a_participant(optimiser: LocalOptimiser) -> None:
    """With one batch an epoch the order does not matter, so it is the same to the last digits."""
    context = round_of(shard(1))
    assert context.model is not None
    assert context.root is not None
    trainer = LoopTrainer(models.create("net"), optimiser)
    order = batch_order(0, 1, 0, 30, 2)
    [(_, expected)] = trainer.train(context.model, [context.root], [order])
    found = RootData(context, len(context.model)).update(optimiser)
    torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=1e-6)


def test_fakes_win_under_fedavg_and_lose_here() -> None:
    context = round_of(shard(1, samples=50))
    model = context.model
    assert model is not None
    sgd = LocalSGD(0.05, 0.0, 3, 50)
    shards = [shard(seed, samples=50) for seed in range(10, 16)]
    orders = [batch_order(0, 1, i, 50, 3) for i in range(6)]
    trained = LoopTrainer(models.create("net"), sgd).train(model, shards, orders)
    honest = torch.cat([deltas for _, deltas in trained])
    updates = torch.cat([-20 * honest[:4], honest])
    rule = FLTrust(lr=0.05, momentum=0.0, epochs=3, batch=50)
    result = rule(updates, context=context)

    def progress(update: torch.Tensor) -> float:
        return torch.cosine_similarity(update, honest.mean(dim=0), dim=0).item()

    assert progress(FedAvg()(updates).update) < -0.7
    assert progress(result.update) > 0.9
    assert result.accepted.tolist() == [False] * 4 + [True] * 6


def test_it_trains_as_the_participants_do() -> None:
    context = round_of(shard(1))
    assert context.model is not None
    update = RootData(context, 13_106).update(LocalAdam(0.01, 2, 30))
    rule = FLTrust(lr=0.01, momentum=0, epochs=2, batch=30, optimizer="adam")
    result = rule(torch.stack([update, -update]), context=context)
    assert result.scores is not None
    assert result.scores.tolist() == pytest.approx([1.0, 0.0])
    torch.testing.assert_close(result.update, update)


@pytest.mark.parametrize(
    ("parameters", "about"),
    [
        ({"optimizer": "rmsprop"}, "fltrust:optimizer='rmsprop' is not possible: sgd or adam"),
        ({"optimizer": "adam"}, "fltrust:momentum=0.9 is not possible: 0 with adam"),
    ],
)
def test_an_optimiser_that_participants_cannot_have_is_refused(
    parameters: dict[str, str], about: str
) -> None:
    with pytest.raises(InvalidValue, match=about):
        FLTrust(**parameters)


@pytest.mark.parametrize(
    ("change", "about"),
    [
        (RoundContext, "root, model and architecture"),
        (lambda: round_of(None), "root"),
        (lambda: round_of(shard(0, samples=0)), "root"),
    ],
)
def test_it_says_what_it_needs(change: Callable[[], RoundContext], about: str) -> None:
    with pytest.raises(UnfitRound, match=f"fltrust needs to know the round's {about}"):
        FLTrust()(torch.ones(2, 13_106), context=change())


def test_it_says_how_many_samples_it_needs_and_others_need_none() -> None:
    assert FLTrust(root=7).root_samples == 7
    assert FedAvg().root_samples == 0
    with pytest.raises(InvalidValue, match="fltrust:root"):
        FLTrust(root=0)


def test_a_model_of_another_size_is_refused() -> None:
    with pytest.raises(UnfitRound, match="13106 weights, the updates have 5"):
        FLTrust()(torch.ones(2, 5), context=round_of(shard(0)))
