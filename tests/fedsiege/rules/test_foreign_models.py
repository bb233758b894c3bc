"""Rules and detectors with what they need from a network that is none of the catalogue's."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fedsiege import detectors, models, rules
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.rules import RoundContext
from fedsiege.rules.context import FACTS
from tests.cases import each

N = 8
DRAW = torch.Generator().manual_seed(0)
INPUTS = torch.randn(40, 20, generator=DRAW)
LABELS = torch.arange(40) % 4


def network() -> nn.Module:
    """Return a network of three layers for 20 numbers and 4 classes, with fixed weights."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)
        )


MODULE = network()
MODEL = models.flatten(MODULE)


def trained(samples: slice) -> Tensor:
    """Return the update of a participant that takes five steps on some of the samples."""
    module = network()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(INPUTS[samples]), LABELS[samples]).backward()
        optimiser.step()
    return models.flatten(module) - MODEL


UPDATES = torch.stack([trained(slice(5 * i, 5 * i + 5)) for i in range(N)])
#: What is set so that a rule is quick.
QUICK = {"fedredefense": {"iterations": 3}, "fltrust": {"root": 40}, "specguard": {"root": 40}}


def context_of(**facts: Any) -> RoundContext:
    return RoundContext(
        **{
            "model": MODULE,
            "root": (INPUTS, LABELS),
            "steps": [5] * N,
            "weights": [5] * N,
            "participants": range(N),
            "round_number": 1,
            **facts,
        }
    )


def needy(registry: Any) -> list[str]:
    """Return the names of components that need something."""
    return [one.name for one in registry if one.needs or getattr(one, "needs_if", {})]


def test_every_rule_that_needs_something_works_with_a_network_of_the_caller() -> None:
    assert {"fltrust", "specguard", "fedredefense", "crfl", "fldetector"} <= set(
        needy(rules.registry)
    )
    for name in needy(rules.registry):
        rule = rules.create(name, **QUICK.get(name, {}))
        result = rule(UPDATES, context=context_of())
        assert result.update.isfinite().all(), name
        again = rule(UPDATES, context=context_of(), state=result.state)
        assert again.update.shape == MODEL.shape, name


def test_every_detector_that_needs_something_works_with_a_network_of_the_caller() -> None:
    for name in needy(detectors.registry):
        scores, _ = detectors.create(name).score(UPDATES, context_of())
        assert scores.isfinite().all(), name


def test_the_network_can_be_given_in_several_ways() -> None:
    rule = rules.create("fltrust", root=40, epochs=1)
    expected = rule(UPDATES, context=context_of())
    assert expected.accepted.any()
    state = MODULE.state_dict()
    ways: dict[str, dict[str, Any]] = {
        "a vector and a function": {"model": MODEL, "architecture": network},
        "a numpy vector and a module": {"model": MODEL.numpy(), "architecture": network()},
        "a list of layers": {
            "model": [layer.numpy() for layer in state.values()],
            "architecture": network,
        },
        "a state dict": {"model": state, "architecture": network},
        "numpy samples": {"root": (INPUTS.double().numpy(), LABELS.numpy().astype(np.uint8))},
    }
    for way, facts in ways.items():
        found = rule(UPDATES, context=context_of(**facts)).update
        torch.testing.assert_close(found, expected.update, msg=lambda text, way=way: f"{way}{text}")


def test_the_module_of_the_caller_is_not_changed() -> None:
    module = network().eval()
    before = copy.deepcopy(module.state_dict())
    for name in ("fltrust", "specguard", "fedredefense"):
        rules.create(name, **QUICK[name])(UPDATES, context=context_of(model=module))
    assert not module.training
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_model_of_the_catalogue_is_given_by_name_or_as_an_object() -> None:
    for architecture in ("net", models.registry.create("net")):
        context = RoundContext(architecture=architecture)
        assert context.layout == models.layout("net")
        assert context.input_shape == (1, 28, 28)


def test_the_layout_and_the_input_shape_follow() -> None:
    context = context_of()
    assert context.layout == tuple((k, tuple(v.shape)) for k, v in MODULE.named_parameters())
    assert context.input_shape == (20,)
    listed = RoundContext(model=[layer.numpy() for layer in MODULE.state_dict().values()])
    assert [shape for _, shape in listed.layout] == [shape for _, shape in context.layout]
    assert RoundContext(layout=[("w", (3,))], architecture=MODULE).layout == [("w", (3,))]


def test_what_is_needed_and_not_known_is_said_with_how_to_give_it() -> None:
    for name in rules.names():
        rule = rules.create(name, **QUICK.get(name, {}))
        if rule.needs:
            with pytest.raises(UnfitRound) as caught:
                rule(UPDATES)
            for need in rule.needs:
                assert f"{need}: {FACTS[need].meaning}" in str(caught.value), name
            assert "context=RoundContext(" in str(caught.value), name


def test_every_need_is_a_field_of_the_context_that_is_described() -> None:
    fields = set(vars(RoundContext()))
    assert set(FACTS) <= fields
    for registry in (rules.registry, rules.pre.registry, detectors.registry):
        for component in registry:
            needs = {*component.needs, *getattr(component, "needs_if", {}).values()}
            assert needs <= set(FACTS), component.name
            assert set(getattr(component, "needs_if", {})) <= {
                one.name for one in registry.parameters(component.name)
            }, component.name


def test_a_pipeline_needs_what_its_rule_needs() -> None:
    assert rules.parse("nnm/fltrust").needs == ("root", "model", "architecture")
    assert rules.parse("nnm/fedavg:weighted=true").needs == ("weights",)
    assert rules.parse("nnm/fedavg").needs == ()


class Normalised(nn.Module):
    """A network with batch normalisation, whose running statistics are buffers."""

    def __init__(self, running: bool = True) -> None:
        super().__init__()
        self.fc = nn.Linear(20, 4)
        self.bn = nn.BatchNorm1d(4, track_running_stats=running)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.fc(x))  # type: ignore[no-any-return]


@each(
    ("make", "error", "message"),
    [
        (lambda: RoundContext(model=Normalised(False)), InvalidValue, "each sample by itself: bn"),
        (
            lambda: RoundContext(architecture=lambda: Normalised(False)),
            InvalidValue,
            r"each sample by itself: bn \(BatchNorm1d\)",
        ),
        (lambda: RoundContext(architecture="nett"), InvalidValue, "did you mean net"),
        (lambda: RoundContext(architecture=dict), UnfitRound, "architecture builds a dict"),
        (lambda: RoundContext(root=INPUTS), UnfitRound, "root must be .* a pair"),
        (
            lambda: RoundContext(root=(INPUTS, INPUTS[:, 0])),
            UnfitRound,
            "root labels are torch.float32 .* whole",
        ),
        (lambda: RoundContext(root=(INPUTS, LABELS[:3])), UnfitRound, r"per input: \(40,\)"),
        (lambda: RoundContext(root=(LABELS, LABELS)), UnfitRound, "wanted is floating point"),
        (lambda: RoundContext(model=["a"]), UnfitRound, r"model\[0\] is a str"),
    ],
)
def test_what_cannot_be_is_refused(
    make: Callable[[], RoundContext], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_state_dicts_with_buffers_are_aggregated_where_no_network_is_needed() -> None:
    """Running statistics are floating point and take part; their counter does not."""
    states = [Normalised().state_dict() for _ in range(N)]
    for rule in (rules.create("krum", f=1), rules.create("crfl"), rules.create("layerguard")):
        update = rule(states, context=RoundContext(model=Normalised().state_dict())).update
        assert list(update) == list(states[0])
        assert update["bn.num_batches_tracked"] == 0


def test_running_statistics_are_weights_for_every_rule_that_needs_a_network() -> None:
    module = Normalised()
    model = models.flatten(module)
    assert len(model) == 84 + 8 + 8
    generator = torch.Generator().manual_seed(0)
    updates = 0.1 * torch.randn(N, len(model), generator=generator)
    for name in needy(rules.registry):
        rule = rules.create(name, **QUICK.get(name, {}))
        result = rule(updates, context=context_of(model=module))
        assert result.update.shape == model.shape, name
        assert result.update.isfinite().all(), name
        assert torch.equal(models.flatten(module), model), name


def test_a_network_that_does_not_fit_is_refused() -> None:
    rule = rules.create("fltrust", root=40)
    with pytest.raises(UnfitRound, match="the architecture has 84 weights, the updates have"):
        rule(UPDATES, context=context_of(model=MODEL, architecture=nn.Linear(20, 4)))
    with pytest.raises(UnfitRound, match="does not take inputs of shape"):
        rules.create("fedredefense")(UPDATES, context=context_of(root=None, input_shape=(3,)))
    with pytest.raises(UnfitRound, match="needs to know the round's input_shape"):
        rules.create("fedredefense")(UPDATES, context=context_of(root=None))
