"""Rules, pre-aggregators, detectors and attacks write into nothing that they are handed.

Of whatever dtype and layout it is: a conversion to the dtype that a matrix has already is a view.
"""

import dataclasses
from collections.abc import Callable, Iterable

import pytest
import torch

from fedsiege import attacks, detectors, models, rules
from fedsiege.attacks import Broadcast, Knowledge
from fedsiege.attacks.base import PoisoningAttack, StatefulAttack
from fedsiege.rules import RoundContext, StatefulRule, pre
from fedsiege.training.base import Shard
from tests.cases import each

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()
N, HOSTILE = 12, 4
#: Rules that train a model, or search for data that do: with as little of it as there can be.
TRAINING = {
    "fedredefense": "fedredefense:iterations=1",
    "fltrust": "fltrust:root=10,epochs=1",
    "specguard": "specguard:root=10,every=1",
}
TEXTS = {"smea": "smea:f=1", **TRAINING}
RULES = [
    *(TEXTS.get(name, name) for name in rules.names()),
    *("fedavg:weighted=true", "fednova:weighted=true", "rfout1d:clip=1,noise=1", "dnc:subsample=9"),
    *("norm-clipping:bound=1", "weak-dp:bound=1", "foundationfl:then=trimmed-mean"),
    *("centered-clipping:tau=1,steps=3", "fldetector:window=2"),
]
PRE = [*(f"{name}/fedavg" for name in pre.names()), "arc/nnm/krum", "clipping:bound=1/dnc"]


def as_it_is(rows: torch.Tensor) -> torch.Tensor:
    return rows.clone()


def transposed(rows: torch.Tensor) -> torch.Tensor:
    return rows.T.contiguous().T


def strided(rows: torch.Tensor) -> torch.Tensor:
    wide = rows.new_full((2 * len(rows), 3 * rows.shape[1]), 5.0)
    wide[::2, 1::3] = rows
    return wide[::2, 1::3]


LAYOUTS = [as_it_is, transposed, strided]
#: Rules compute in float32 and float64: rows of these they could take as they lie, not in a copy.
FORMS = [
    (dtype, layout)
    for dtype in DTYPES
    for layout in LAYOUTS
    if dtype.itemsize > 2 or layout is as_it_is
]


def tensors_of(given: object) -> Iterable[torch.Tensor]:
    """Yield every tensor in a dataclass, those of dataclasses in it and of tuples among them."""
    if isinstance(given, torch.Tensor):
        # What lies between the elements of a view must stay as well.
        yield given if given._base is None else given._base
    elif dataclasses.is_dataclass(given):
        yield from tensors_of(tuple(vars(given).values()))
    elif isinstance(given, tuple | list):
        for one in given:
            yield from tensors_of(one)


class Untouched:
    """What was handed in, and what it was before."""

    def __init__(self, *given: object) -> None:
        self.before = [(tensor, tensor.clone()) for tensor in tensors_of(given)]

    def check(self) -> None:
        for now, before in self.before:
            torch.testing.assert_close(now, before, rtol=0, atol=0, equal_nan=True)


def rows(number: int, d: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(number)
    found = 1 + torch.randn(N, d, generator=generator)
    found[3] *= 50
    return found / d**0.5


def context_of(text: str, number: int, device: str) -> RoundContext:
    """All that can be known; a real model for the rules that train one."""
    real = text.partition(":")[0] in TRAINING
    generator = torch.Generator().manual_seed(number)
    model = models.random_weights("net", number) if real else torch.ones(20)
    images = torch.randn(10, 1, 28, 28, generator=generator)
    return RoundContext(
        weights=torch.arange(N) % 5 + 1,
        steps=torch.arange(N) % 4 + 1,
        participants=torch.arange(N),
        round_number=number,
        model=model.to(device),
        layout=models.layout("net") if real else [("weight", (16,)), ("bias", (4,))],
        architecture="net" if real else "",
        root=Shard(images, torch.arange(10)),
    )


@each("device", DEVICES)
@each(("dtype", "layout"), FORMS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, marks=pytest.mark.slow) if text.startswith("fedredefense") else text
        for text in (*RULES, *PRE)
    ],
)
def test_a_rule_changes_nothing_and_any_dtype_and_layout_gives_the_same(
    text: str, dtype: torch.dtype, layout: Callable[[torch.Tensor], torch.Tensor], device: str
) -> None:
    rule, state, plain = rules.parse(text), None, None
    for number in (1, 2, 3) if isinstance(rule, StatefulRule) else (1,):
        context = context_of(text, number, device)
        assert context.model is not None
        updates = layout(rows(number, len(context.model)).to(dtype).to(device))
        untouched = Untouched(updates, context, state)
        result = rule(updates, context=context, state=state)
        untouched.check()
        expected = rule(updates.float().contiguous(), context=context, state=plain)
        state, plain = result.state, expected.state
        assert torch.equal(result.accepted, expected.accepted)
        tolerance = max(1e-4, torch.finfo(dtype).eps)  # the update is rounded to that type
        torch.testing.assert_close(
            result.update, expected.update.to(dtype), rtol=tolerance, atol=1e-5
        )


@each(("dtype", "layout"), FORMS)
@pytest.mark.parametrize("name", detectors.names())
def test_a_detector_changes_nothing_and_any_dtype_and_layout_gives_the_same(
    name: str, dtype: torch.dtype, layout: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    detector, state, plain = detectors.create(name), None, None
    for number in (1, 2, 3):
        context = context_of(name, number, "cpu")
        updates = layout(rows(number, 20).to(dtype))
        untouched = Untouched(updates, context, state)
        scores, after = detector.score(updates, context, state)
        untouched.check()
        expected, plain = detector.score(updates.float().contiguous(), context, plain)
        state = after
        torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)


def told(number: int, make: Callable[[torch.Tensor], torch.Tensor], architecture: str) -> Broadcast:
    """What is known in a round to an attack that knows everything."""
    d = models.size(architecture)
    updates = rows(number, d)
    return Broadcast(
        round_number=number,
        model=models.random_weights(architecture, number),
        previous=models.random_weights(architecture, number - 1) if number > 1 else None,
        architecture=architecture,
        seed=3,
        hostile=tuple(range(HOSTILE)),
        own=make(updates[:HOSTILE]),
        benign=make(updates[HOSTILE:]),
        benign_indices=tuple(range(HOSTILE, N)),
        rule="multi-krum:f=4",
        participants=N,
    )


ATTACKS = [
    *(cls.name for cls in attacks.registry),
    *(
        f"{name}:knowledge=full"
        for name in ("alie", "fang-krum", "fang-trimmed-mean", "ipm", "mimic", "min-max", "min-sum")
    ),
    *("gaussian:form=add", "gaussian:form=fitted", "sign-flip:form=mean", "free-rider:kind=stale"),
    *("min-max:perturbation=unit", "min-sum:perturbation=sign", "alie:z=1", "mpaf-spread:noise=1"),
]


@each("layout", LAYOUTS)
@each("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_changes_nothing_and_any_dtype_and_layout_gives_the_same(
    text: str, dtype: torch.dtype, layout: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    attack = attacks.parse(text)
    if attack.knows is Knowledge.NONE and (dtype, layout) != (torch.float32, as_it_is):
        return  # it is handed the model alone, in one form
    states: list[object | None] = [None, None]
    for number in (1, 2, 3) if isinstance(attack, StatefulAttack) else (2,):
        sent = []
        for k, make in enumerate([lambda x: layout(x.to(dtype)), lambda x: x.to(dtype).float()]):
            broadcast = told(number, make, "net")
            untouched = Untouched(broadcast, states[k])
            if isinstance(attack, StatefulAttack):
                found, states[k] = attack.advance(broadcast, broadcast.hostile, states[k])
            else:
                found = attack.craft(broadcast, broadcast.hostile)
            if isinstance(attack, PoisoningAttack):
                attack.gradient_factor(broadcast)
            untouched.check()
            assert found.dtype == torch.float32
            sent.append(found)
        torch.testing.assert_close(*sent, rtol=1e-3, atol=1e-4)
