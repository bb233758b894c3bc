"""The choice between the two trainers."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from fedsiege.errors import InvalidValue
from fedsiege.training.base import Shard, Trainer
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalOptimiser, LocalSGD


def resolve_auto(module: nn.Module) -> tuple[Literal["cohort", "loop"], str]:
    """Return the trainer that "auto" selects for a module, and the reason if it is the loop.

    It is "cohort" if the engine knows every layer and no layer mixes the samples of a batch (the
    engine cannot run such a layer on batches of unequal size), else "loop". The answer depends on
    the module alone and not on a measurement: measurements vary from one trial to the next, and the
    two trainers differ in the last bits of their updates.

    The engine was faster in every case measured. Time of the loop divided by the time of the
    engine, for one participant, one thread, 4 steps, medians of 5 interleaved trials, torch 2.13 on
    AMD Zen 5:

    ====================  =====  =====  =====  =====  =====  =====
    batch                     1      4      8     16     32     64
    ====================  =====  =====  =====  =====  =====  =====
    net, 20 participants  10.64   8.66   6.70   5.42   4.17   3.20
    lenet5, 20             7.85   5.05   3.37   2.32   1.75   1.55
    cnn, 20                3.12   1.94   1.39   1.27   1.19   1.11
    net, 1 participant     1.45   1.31   1.35   1.22   1.16   1.21
    lenet5, 1              1.41   1.47   1.41   1.23   1.23   1.12
    cnn, 1                 1.61   1.39   1.25   1.19   1.15   1.10
    net, 20, Adam          6.67   5.94   5.11   4.44   3.90   3.22
    lenet5, 20, Adam       3.34   3.18   2.71   2.11   1.75   1.57
    cnn, 20, Adam          1.58   1.48   1.34   1.22   1.19   1.13
    ====================  =====  =====  =====  =====  =====  =====

    With 40 steps, 20 participants and SGD the ratios are 1.16 (cnn, batch 64) to 11.50 (net, 1);
    with shards of 1 to 409 samples, as Dirichlet gives, 1.12 (cnn, 32) to 4.58 (net, 4).
    """
    try:
        CohortTrainer(module, LocalSGD()).refuse_mixing()
    except InvalidValue as reason:
        return "loop", str(reason)
    return "cohort", ""


def choose(
    module: nn.Module, optimiser: LocalOptimiser, shards: Sequence[Shard], prefer: str = "auto"
) -> tuple[Trainer, str]:
    """Return the trainer to use, and a sentence that names it and gives the reason.

    Args:
        module: the architecture.
        optimiser: the optimiser of each step.
        shards: the samples to train on, or similar ones; they determine how many participants the
            engine trains at a time, not which trainer is chosen.
        prefer: "cohort", "loop", or "auto" for the answer of ``resolve_auto``.

    Raises:
        InvalidValue: ``prefer`` is none of these, or it is "cohort" and the engine cannot run the
            module.
    """
    if prefer not in ("auto", "cohort", "loop"):
        raise InvalidValue("prefer", prefer, "auto, cohort or loop")
    name, reason = resolve_auto(module) if prefer == "auto" else (prefer, "")
    if name == "loop":
        loop = LoopTrainer(module, optimiser)
        return loop, f"{loop.method}, because {reason}" if reason else loop.method
    cohort = CohortTrainer(module, optimiser).sized_for(shards)
    return cohort, cohort.method
