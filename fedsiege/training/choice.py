"""The choice between the two trainers."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from fedsiege.errors import InvalidValue
from fedsiege.training.base import Samples, Trainer
from fedsiege.training.cohort import CohortTrainer
from fedsiege.training.loop import LoopTrainer
from fedsiege.training.optimiser import LocalOptimiser, LocalSGD

#: The most weights of convolutions with which "auto" is the engine; see ``resolve_auto``.
MOST_FILTERS = 250_000


def resolve_auto(module: nn.Module) -> tuple[Literal["cohort", "loop"], str]:
    """Return the trainer that "auto" selects for a module, and the reason if it is the loop.

    It is "cohort" if the engine knows every layer, no layer mixes the samples of a batch (the
    engine cannot run such a layer on batches of unequal size), and convolutions have at most
    ``MOST_FILTERS`` weights; else "loop". The answer depends on the module alone and not on a
    measurement: measurements vary from one trial to the next, and the two trainers differ in the
    last bits of their updates.

    For small models the engine was faster in every case measured. Time of the loop divided by the
    time of the engine, for one participant, one thread, 4 steps, medians of 5 interleaved trials,
    torch 2.13 on AMD Zen 5:

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

    The convolutions of larger models are work enough for the loop, and the weights of two
    participants no longer fit the core's cache. Colour pictures of 32 by 32, 20 participants, 2
    steps of SGD (1 for resnet18 and vgg11), one thread of two that others share, least of 2 to 5
    interleaved trials; ``func`` is the time of the loop divided by that of ``torch.func``:
    ``vmap`` over participants of ``grad``:

    ================================  =======  =====  =====  =====  ====
    batch                             filters      4     16     32  func
    ================================  =======  =====  =====  =====  ====
    mlp, rows of 30 features                0   3.72   2.70   2.58  0.95
    mlp, pictures of 28 by 28               0   2.17   1.88   1.49  0.54
    three convolutions of 16 to 32     14,256   1.68   0.99
    three convolutions of 32 to 64     56,160   1.33   0.95
    the same with GroupNorm            56,160   1.23   0.88
    three convolutions of 32 to 128    93,024   1.28   1.10
    three convolutions of 64 to 128   222,912   1.13   1.06
    resnet20, norm=group              267,696   1.14   0.63         0.86
    resnet20                          267,696   1.04   1.14   0.91
    mobilenet-v2, norm=group        2,189,760   0.78   0.89         0.90
    mobilenet-v2, no dropout        2,189,760   0.59   0.89   0.87
    vgg11                           9,217,728   1.03   1.33
    resnet18                       11,159,232   0.61
    ================================  =======  =====  =====  =====  ====

    ``torch.func`` cannot run batch normalisation that writes its statistics, and took 3 to 8 times
    as long as the loop for ``char-lstm``, whose layers the engine does not know.
    """
    try:
        check_cohort(module)
    except InvalidValue as reason:
        return "loop", str(reason)
    filters = sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Conv2d))
    if filters > MOST_FILTERS:
        return "loop", (
            f"its convolutions have {filters:,} weights, and above {MOST_FILTERS:,} the cohort "
            "engine is not faster"
        )
    return "cohort", ""


def check_cohort(module: nn.Module) -> None:
    """Check that the cohort engine can train a module with any shards.

    Raises:
        InvalidValue: it cannot run a layer, or not on batches of unequal size; the layer is named.
    """
    CohortTrainer(module, LocalSGD()).refuse_mixing()


def choose(
    module: nn.Module, optimiser: LocalOptimiser, shards: Sequence[Samples], prefer: str = "auto"
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
