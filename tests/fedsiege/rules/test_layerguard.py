"""LayerGuard."""

import pytest
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import FedAvg, LayerGuard, RoundContext
from fedsiege.rules.layerguard import layers_of, slices_of

LAYOUT = (("fc1.weight", (5, 6)), ("fc2.weight", (4, 10)))
CONTEXT = RoundContext(layout=LAYOUT)


def honest(n: int) -> torch.Tensor:
    return 0.1 + torch.randn(n, 70, generator=torch.Generator().manual_seed(0))


def test_layers_are_the_tensors_of_the_model() -> None:
    assert slices_of(LAYOUT, 70) == [slice(0, 30), slice(30, 70)]
    with pytest.raises(UnfitRound, match="layout has 70 weights, the updates have 71"):
        slices_of(LAYOUT, 71)


def test_a_tensor_of_one_number_is_of_the_layer_beside_it() -> None:
    def found(*sizes: int) -> list[tuple[int, int]]:
        layout = [(str(place), (size,)) for place, size in enumerate(sizes)]
        return [(layer.start, layer.stop) for layer in layers_of(layout, sum(sizes))]

    assert found(4, 1, 5, 2) == [(0, 5), (5, 10), (10, 12)]
    assert found(1, 4, 5) == [(0, 5), (5, 10)]
    assert found(1, 1, 1) == [(0, 3)]
    assert found(1) == [(0, 1)]
    assert layers_of(LAYOUT, 70) == slices_of(LAYOUT, 70)
    assert len(layers_of(models.layout("net"), models.size("net"))) == 8


def test_a_lone_dissenter_does_not_decide_on_a_bias_of_one_number() -> None:
    """The honest move it up, one moves it down: all 19 are alike in its sign, and it is not."""
    layout = (("conv.weight", (5, 5)), ("conv.bias", (1,)), ("fc.weight", (4, 10)))
    updates = torch.randn(20, 66, generator=torch.Generator().manual_seed(0))
    updates[:, 25] = updates[:, 25].abs()
    updates[0, 25] = -1e6
    result = LayerGuard()(updates, context=RoundContext(layout=layout))
    assert FedAvg()(updates).update[25] == pytest.approx(-5e4, rel=1e-4)
    assert result.update[25] > -1e5
    assert result.accepted.sum() > 10


def test_fakes_that_agree_on_a_bias_of_one_number_lose_it() -> None:
    layout = (("conv.weight", (5, 5)), ("conv.bias", (1,)), ("fc.weight", (4, 10)))
    updates = torch.randn(20, 66, generator=torch.Generator().manual_seed(0))
    updates[:5, 25] = -1e6
    result = LayerGuard()(updates, context=RoundContext(layout=layout))
    assert abs(result.update[25]) < 2


def test_the_score_is_the_mean_cosine_of_the_two_nearest() -> None:
    layer = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]])
    found = LayerGuard().similarity(layer)
    assert found.tolist() == pytest.approx([0.7, (0.96 + 0.6) / 2, (0.96 + 0.8) / 2, -0.7])


def test_weights_by_hand() -> None:
    """n = 6. First layer: two at .97 are anomalous, n / 2 - 1 of them: high risk. Second: one at
    .62 is, from .60 on: not. So alpha is 0 for the two, 1 for the others, who are the trusted."""
    similarity = torch.tensor(
        [[0.97, 0.97, 0.3, 0.3, 0.5, 0.7], [0.4, 0.4, 0.62, 0.5, 0.5, 0.3]]
    ).double()
    weights = LayerGuard().weights(similarity)
    benign = (0.3 + 0.3 + 0.5 + 0.7) / 4
    between = [(0.97 - x) / (0.97 - benign) for x in (0.5, 0.7)]
    assert weights[0].tolist() == pytest.approx([0, 0, 1, 1, *between])
    benign = (0.62 + 0.5 + 0.5 + 0.3) / 4
    partly = (0.62 - 0.5) / (0.62 - benign)
    # Below the benign boundary the first two count in full here, whatever they did in the other.
    assert weights[1].tolist() == pytest.approx([1, 1, 0, partly, partly, 1])


def test_the_threshold_stops_at_the_first_that_anyone_reaches() -> None:
    """.96 reaches .95, so .92 is not anomalous; with 4 trusted others its weight is on the way."""
    [weights] = LayerGuard().weights(torch.tensor([[0.96, 0.92, 0.3, 0.3, 0.3, 0.3]]).double())
    benign = (0.92 + 4 * 0.3) / 5
    assert weights.tolist() == pytest.approx([0, 0.04 / (0.96 - benign), 1, 1, 1, 1])


def test_who_is_anomalous_in_some_high_risk_layers_weighs_less_in_the_others() -> None:
    """n = 6. First layer: two are anomalous, n / 2 - 1, so it is of high risk as well as the second
    with three: alpha is .5 for those five, and the third largest is .5, so all are trusted."""
    similarity = torch.tensor(
        [[0.97, 0.97, 0.8, 0.3, 0.3, 0.4], [0.6, 0.3, 0.96, 0.96, 0.96, 0.3]]
    ).double()
    weights = LayerGuard().weights(similarity)
    benign = (0.97 + 0.97 + 0.8 + 0.3 + 0.3 + 0.4) / 6
    between = 0.5 * (0.97 - 0.8) / (0.97 - benign)
    assert weights[0].tolist() == pytest.approx([0, 0, between, 1, 1, 1])
    assert weights[1].tolist() == pytest.approx([1, 1, 0, 0, 0, 1])


def test_among_an_odd_number_two_of_seven_are_no_high_risk() -> None:
    """n = 7, n / 2 - 1 = 2.5: three anomalous are, two are not. So alpha is 0 for the three."""
    similarity = torch.tensor(
        [[0.97, 0.97, 0.3, 0.3, 0.8, 0.3, 0.3], [0.9, 0.3, 0.97, 0.97, 0.97, 0.3, 0.3]]
    ).double()
    weights = LayerGuard().weights(similarity)
    assert weights[0].tolist() == pytest.approx([0, 0, 1, 1, 0, 1, 1])
    benign = (0.9 + 3 * 0.3) / 4
    assert weights[1, 0].item() == pytest.approx((0.97 - 0.9) / (0.97 - benign))


def test_a_step_that_takes_more_than_a_thousand_comparisons_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"layerguard:step.*0\.001 or more"):
        LayerGuard(step=1e-9)


def test_fakes_that_are_alike_lose() -> None:
    updates = torch.cat([torch.full((6, 70), -100.0) + honest(6), honest(14)])
    result = LayerGuard()(updates, context=CONTEXT)
    assert FedAvg()(updates).update.max() < -20
    assert not result.accepted[:6].any()
    assert result.accepted[6:].all()
    assert (result.update - honest(14).mean(dim=0)).norm() < honest(14).norm(dim=1).mean()


def test_poison_in_one_layer_costs_its_sender_that_layer() -> None:
    updates = honest(20)
    updates[:6, 30:] = 50.0
    result = LayerGuard()(updates, context=CONTEXT)
    assert FedAvg()(updates).update[30:].mean() > 10
    assert result.update[30:].abs().max() < 2
    assert result.accepted[:6].any()  # in the other layer


def test_where_all_are_alike_the_model_is_kept() -> None:
    result = LayerGuard()(torch.ones(6, 70), context=CONTEXT)
    assert not result.accepted.any()
    assert not result.update.any()


def test_it_needs_the_layout() -> None:
    with pytest.raises(UnfitRound, match="layerguard needs to know the round's layout"):
        LayerGuard()(honest(4))
