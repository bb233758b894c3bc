"""For every rule but fedavg an attack that wins under fedavg and loses under the rule.

The same question is put to both, so that no test here passes with the defence switched off. A rule
that is registered is besieged by MPAF, unless it says what else it is good against; so a new one
cannot go without. Pre-aggregators are set against the rule alone that stands behind them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from fedsiege import models, rules
from fedsiege.rules import RoundContext, pre
from fedsiege.rules.distillation import Distillation, Synthetic
from fedsiege.rules.root_data import RootData
from fedsiege.seeding import generator
from fedsiege.training.base import Shard

Round = tuple[Tensor, RoundContext]


@dataclass(frozen=True)
class Siege:
    """Rounds under attack, one after the other; the last one decides.

    Attributes:
        rounds: updates and what else is known of each round.
        won: whether the attacker has, by the update that the global model takes.
    """

    rounds: Sequence[Round]
    won: Callable[[Tensor], bool]

    def falls(self, text: str) -> bool:
        """Return whether the attack wins under a rule."""
        rule, state = rules.parse(text), None
        for updates, context in self.rounds:
            result = rule(updates, context=context, state=state)
            state = result.state
        return self.won(result.update)


def astray(honest: Tensor) -> Callable[[Tensor], bool]:
    """The model does not go the way of the honest participants, or three times as far or more."""
    way = honest.mean(dim=0)

    def won(update: Tensor) -> bool:
        along = float(torch.cosine_similarity(update, way, dim=0))
        return along < 0.5 or update.norm() > 3 * way.norm()

    return won


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cohort(n: int, d: int = 200) -> Tensor:
    """A common direction of norm about 1, and noise of norm about 1 for each participant."""
    return (torch.randn(d, generator=draw(0)) + torch.randn(n, d, generator=draw(1))) / d**0.5


def mpaf(fakes: int = 4, scale: float = 20.0) -> Siege:
    """Of 20 participants some send the same long step, or one sends it, towards another model."""
    honest = cohort(20 - fakes)
    step = scale * torch.randn(1, 200, generator=draw(2)) / 200**0.5
    updates = torch.cat([step.repeat(fakes, 1), honest])
    layout = [("weight", (18, 10)), ("bias", (20,))]
    return Siege([(updates, RoundContext(model=torch.zeros(200), layout=layout))], astray(honest))


def busy() -> Siege:
    """One of five makes ten times as many steps, somewhere else, and says so."""
    honest = cohort(4)
    away = 10 * torch.randn(1, 200, generator=draw(2)) / 200**0.5
    steps = torch.tensor([40, 4, 4, 4, 4])
    context = RoundContext(steps=steps, weights=torch.ones(5, dtype=torch.int64))
    return Siege([(torch.cat([away, honest]), context)], astray(honest))


def exploding() -> Siege:
    """A single step that is a million times too long: the model is nothing but that any more."""
    model = torch.full((200,), 0.1)
    updates = torch.cat([torch.full((1, 200), 1e6), cohort(19)])
    return Siege([(updates, RoundContext(model=model))], lambda g: bool((model + g).norm() > 100))


def erratic(rounds: int = 13) -> Siege:
    """Four of 20 jump about while the others descend towards optima of their own."""
    noise, curvature = draw(1), torch.linspace(0.05, 0.3, 200)
    optima = torch.ones(200) + 0.3 * torch.randn(16, 200, generator=noise)
    model, played = torch.zeros(200), []
    for _ in range(rounds):
        honest = curvature * (optima - model)
        honest += 0.02 * torch.randn(16, 200, generator=noise)
        fakes = -5 * torch.rand(4, 1, generator=noise) + torch.randn(4, 200, generator=noise)
        played.append((torch.cat([fakes, honest]), RoundContext(model=model)))
        model = model + honest.mean(dim=0)
    return Siege(played, astray(honest))


def trained() -> Siege:
    """The honest go down the loss of samples like those that the aggregator has; fakes do not."""
    model = models.random_weights("net", 0)
    images, labels = torch.randn(20, 1, 28, 28, generator=draw(0)), torch.arange(20) % 2
    context = RoundContext(model=model, architecture="net", root=Shard(images, labels))
    gradients = RootData(context, len(model)).gradients()
    honest = -torch.stack([gradients[i::8].mean(dim=0) for i in range(8)])
    step = 10 * (models.random_weights("net", 1) - model)
    return Siege([(torch.cat([step.repeat(2, 1), honest]), context)], astray(honest))


def distilled() -> Siege:
    """The honest updates are those of five steps on the images from which the search begins."""
    model = models.random_weights("net", 0)
    context = RoundContext(model=model, architecture="net", seed=1)
    search = Distillation("net", model, steps=5, rate=0.1)
    noise = generator(1, "fedredefense images").standard_normal((10, 1, 28, 28), np.float32)
    labels = 3 * torch.randn(2, 10, 10, generator=draw(0))
    data = Synthetic(torch.from_numpy(noise).repeat(2, 1, 1, 1, 1), labels, torch.full((2,), 0.2))
    honest = torch.stack([_descend(search, data, i) for i in range(2)])
    step = 10 * (models.random_weights("net", 1) - model)
    return Siege([(torch.cat([step[None], honest]), context)], astray(honest))


def _descend(search: Distillation, data: Synthetic, i: int) -> Tensor:
    moved, loss = search.weights, search._loss()
    for _ in range(search.steps):
        slope = torch.func.grad(loss)(moved, data.images[i], data.labels[i])
        moved = moved - data.rates[i] * slope
    return moved - search.weights


def hidden() -> Siege:
    """ALIE: seven of 23 lie within the spread of the others, all on the same side."""
    honest = torch.randn(16, 400, generator=draw(0))
    mean, deviation = honest.mean(dim=0), honest.std(dim=0)
    updates = torch.cat([(mean - 1.5 * deviation).repeat(7, 1), honest])
    return Siege([(updates, RoundContext())], lambda g: bool((g - mean).norm() > 0.4 * 400**0.5))


def mimicked() -> Siege:
    """Each coordinate matters to six of 16; four others say in all of them what the rest say: 0."""
    honest = torch.zeros(16, 400)
    random = draw(0)
    for column in honest.T:
        column[torch.randperm(16, generator=random)[:6]] = 1.0
    updates = torch.cat([torch.zeros(4, 400), honest])
    return Siege([(updates, RoundContext())], lambda g: bool(g.mean() < 0.1))


#: The siege that a rule stands: MPAF, unless something else is said.
SIEGES: dict[str, Callable[[], Siege]] = {
    "crfl": exploding,
    "fedredefense:iterations=6": distilled,
    "fednova": busy,
    "fldetector": erratic,
    "fltrust:root=20,batch=20,lr=0.01": trained,
    # A fifth of equal fakes is no outlier to it, by definition; a twentieth is.
    "rfout1d": lambda: mpaf(fakes=1, scale=60.0),
    "specguard:root=20": trained,
}
OTHERS = {text.partition(":")[0] for text in SIEGES}
RULES = [*SIEGES, *(name for name in rules.names() if name not in {"fedavg", *OTHERS})]

#: What a pre-aggregator saves, alone and with it in front.
STEPS: dict[str, tuple[str, str, Callable[[], Siege]]] = {
    "arc": ("fedavg", "arc:f=4/fedavg", mpaf),
    "bucketing": ("median", "bucketing:s=4/median", mimicked),
    "clipping": ("fedavg", "clipping/fedavg", mpaf),
    "nnm": ("trimmed-mean:f=7", "nnm:f=7/trimmed-mean:f=7", hidden),
}


@pytest.mark.parametrize("text", RULES)
def test_an_attack_wins_under_fedavg_and_loses_here(text: str) -> None:
    siege = SIEGES.get(text, mpaf)()
    assert siege.falls("fedavg")
    assert not siege.falls(text)


def test_no_pre_aggregator_goes_without() -> None:
    assert list(STEPS) == pre.names()


@pytest.mark.parametrize(("alone", "behind", "siege"), STEPS.values(), ids=STEPS)
def test_an_attack_wins_without_the_step_and_loses_with_it(
    alone: str, behind: str, siege: Callable[[], Siege]
) -> None:
    assert siege().falls(alone)
    assert not siege().falls(behind)
