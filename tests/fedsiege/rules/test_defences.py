"""An attack that wins under fedavg and loses under the rule, for every rule but fedavg.

The attack must win under fedavg, so that no test here passes with the defence switched off. The
rules in ROBUST (cases.py) are attacked by MPAF, the others by an attack of their own in ATTACKED. A
pre-aggregator is compared with the rule alone that stands behind it.
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
from tests.fedsiege.rules.cases import ROBUST

HERE = "tests/fedsiege/rules"
Round = tuple[Tensor, RoundContext]


@dataclass(frozen=True)
class AttackedRounds:
    """Rounds under attack, in order; the last one decides whether the attack succeeds.

    Attributes:
        rounds: updates and what else is known of each round.
        success: whether the attack succeeds, by the update that the global model takes.
    """

    rounds: Sequence[Round]
    success: Callable[[Tensor], bool]

    def succeed(self, text: str) -> bool:
        """Return whether the attack succeeds under a rule."""
        rule, state = rules.parse(text), None
        for updates, context in self.rounds:
            result = rule(updates, context=context, state=state)
            state = result.state
        return self.success(result.update)


def misled(honest: Tensor) -> Callable[[Tensor], bool]:
    """The update does not point where the honest mean does, or is three times as long or more."""
    way = honest.mean(dim=0)

    def success(update: Tensor) -> bool:
        along = float(torch.cosine_similarity(update, way, dim=0))
        return along < 0.5 or update.norm() > 3 * way.norm()

    return success


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cohort(n: int, d: int = 200) -> Tensor:
    """A common direction of norm about 1, and noise of norm about 1 for each participant."""
    return (torch.randn(d, generator=draw(0)) + torch.randn(n, d, generator=draw(1))) / d**0.5


def mpaf(fakes: int = 4, scale: float = 20.0) -> AttackedRounds:
    """Of 20 participants some send the same long step, or one sends it, towards another model."""
    honest = cohort(20 - fakes)
    step = scale * torch.randn(1, 200, generator=draw(2)) / 200**0.5
    updates = torch.cat([step.repeat(fakes, 1), honest])
    layout = [("weight", (18, 10)), ("bias", (20,))]
    return AttackedRounds(
        [(updates, RoundContext(model=torch.zeros(200), layout=layout))], misled(honest)
    )


def busy() -> AttackedRounds:
    """One of five makes ten times as many steps, somewhere else, and says so."""
    honest = cohort(4)
    away = 10 * torch.randn(1, 200, generator=draw(2)) / 200**0.5
    steps = torch.tensor([40, 4, 4, 4, 4])
    context = RoundContext(steps=steps, weights=torch.ones(5, dtype=torch.int64))
    return AttackedRounds([(torch.cat([away, honest]), context)], misled(honest))


def exploding() -> AttackedRounds:
    """A single step that is a million times too long: the model is nothing but that any more."""
    model = torch.full((200,), 0.1)
    updates = torch.cat([torch.full((1, 200), 1e6), cohort(19)])
    return AttackedRounds(
        [(updates, RoundContext(model=model))], lambda g: bool((model + g).norm() > 100)
    )


def erratic(rounds: int = 13) -> AttackedRounds:
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
    return AttackedRounds(played, misled(honest))


def trained() -> AttackedRounds:
    """The honest go down the loss of samples like those that the aggregator has; fakes do not."""
    model = models.random_weights("net", 0)
    images, labels = torch.randn(20, 1, 28, 28, generator=draw(0)), torch.arange(20) % 2
    context = RoundContext(model=model, architecture="net", root=Shard(images, labels))
    gradients = RootData(context, len(model)).gradients()
    honest = -torch.stack([gradients[i::8].mean(dim=0) for i in range(8)])
    step = 10 * (models.random_weights("net", 1) - model)
    return AttackedRounds([(torch.cat([step.repeat(2, 1), honest]), context)], misled(honest))


def distilled() -> AttackedRounds:
    """The honest updates are those of five steps on the images from which the search begins."""
    model = models.random_weights("net", 0)
    context = RoundContext(model=model, architecture="net", seed=1)
    search = Distillation("net", model, steps=5, rate=0.1)
    noise = generator(1, "fedredefense images").standard_normal((10, 1, 28, 28), np.float32)
    labels = 3 * torch.randn(2, 10, 10, generator=draw(0))
    data = Synthetic(torch.from_numpy(noise).repeat(2, 1, 1, 1, 1), labels, torch.full((2,), 0.2))
    honest = torch.stack([_descend(search, data, i) for i in range(2)])
    step = 10 * (models.random_weights("net", 1) - model)
    return AttackedRounds([(torch.cat([step[None], honest]), context)], misled(honest))


def _descend(search: Distillation, data: Synthetic, i: int) -> Tensor:
    moved, loss = search.weights, search._loss()
    for _ in range(search.steps):
        slope = torch.func.grad(loss)(moved, data.images[i], data.labels[i])
        moved = moved - data.rates[i] * slope
    return moved - search.weights


def hidden() -> AttackedRounds:
    """ALIE: seven of 23 lie within the spread of the others, all on the same side."""
    honest = torch.randn(16, 400, generator=draw(0))
    mean, deviation = honest.mean(dim=0), honest.std(dim=0)
    updates = torch.cat([(mean - 1.5 * deviation).repeat(7, 1), honest])
    return AttackedRounds(
        [(updates, RoundContext())], lambda g: bool((g - mean).norm() > 0.4 * 400**0.5)
    )


def mimicked() -> AttackedRounds:
    """Each coordinate matters to six of 16; four others say in all of them what the rest say: 0."""
    honest = torch.zeros(16, 400)
    random = draw(0)
    for column in honest.T:
        column[torch.randperm(16, generator=random)[:6]] = 1.0
    updates = torch.cat([torch.zeros(4, 400), honest])
    return AttackedRounds([(updates, RoundContext())], lambda g: bool(g.mean() < 0.1))


#: The attack that a rule must withstand: MPAF for ROBUST, one of its own for the others. A rule may
#: stand here with parameters.
ATTACKED: dict[str, Callable[[], AttackedRounds]] = {
    **dict.fromkeys(ROBUST, mpaf),
    "crfl": exploding,
    "fedredefense:iterations=6": distilled,
    "fednova": busy,
    "fldetector": erratic,
    "fltrust:root=20,batch=20,lr=0.01": trained,
    # A fifth of equal fakes is no outlier to it, by definition; a twentieth is.
    "rfout1d": lambda: mpaf(fakes=1, scale=60.0),
    "specguard:root=20": trained,
}

#: For each pre-aggregator a rule alone, the same with the step in front, and the attack.
STEPS: dict[str, tuple[str, str, Callable[[], AttackedRounds]]] = {
    "arc": ("fedavg", "arc:f=4/fedavg", mpaf),
    "bucketing": ("median", "bucketing:s=4/median", mimicked),
    "clipping": ("fedavg", "clipping/fedavg", mpaf),
    "nnm": ("trimmed-mean:f=7", "nnm:f=7/trimmed-mean:f=7", hidden),
}


@pytest.mark.parametrize("text", ATTACKED)
def test_an_attack_succeeds_under_fedavg_and_fails_under_the_rule(text: str) -> None:
    attacked = ATTACKED[text]()
    assert attacked.succeed("fedavg"), "the attack must succeed without a defence"
    assert not attacked.succeed(text), f"{text} does not withstand its attack"


def test_a_rule_that_no_attack_is_tried_on_is_reported() -> None:
    tried = {"fedavg", *(text.partition(":")[0] for text in ATTACKED)}
    missing = sorted(set(rules.names()) - tried)
    if missing:
        pytest.skip(
            f"no attack is tried on {', '.join(missing)}: add a rule that must withstand MPAF to "
            f"ROBUST in {HERE}/cases.py, one with other parameters or against another attack to "
            f"ATTACKED in {HERE}/test_defences.py"
        )


def test_a_pre_aggregator_that_no_attack_is_tried_on_is_reported() -> None:
    missing = sorted(set(pre.names()) - set(STEPS))
    if missing:
        pytest.skip(
            f"no attack is tried on {', '.join(missing)}: add it to STEPS in "
            f"{HERE}/test_defences.py"
        )


@pytest.mark.parametrize(("alone", "behind", "attack"), STEPS.values(), ids=STEPS)
def test_an_attack_succeeds_without_the_step_and_fails_with_it(
    alone: str, behind: str, attack: Callable[[], AttackedRounds]
) -> None:
    assert attack().succeed(alone), f"the attack must succeed under {alone}"
    assert not attack().succeed(behind), f"{behind} does not withstand the attack"
