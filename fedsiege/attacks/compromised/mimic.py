"""Mimic: repeat the update of one benign participant, so that it counts many times."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege.attacks.base import (
    Broadcast,
    CompromisedAttack,
    Knowledge,
    Setting,
    StatefulAttack,
    registry,
)
from fedsiege.attacks.compromised.sample import mean, same_row, usable_sample, usable_senders
from fedsiege.attacks.vectors import unit
from fedsiege.errors import UnfitRound
from fedsiege.rules.state import own
from fedsiege.seeding import generator


@dataclass(frozen=True)
class Watch:
    """The state of the hostile participants.

    Attributes:
        rounds: how many rounds they have watched.
        center: ``(d,)`` mu, the mean of the benign means of these rounds.
        direction: ``(d,)`` z, of length 1.
        chosen: the index of the participant that they copy.
    """

    rounds: int
    center: Tensor
    direction: Tensor
    chosen: int


@registry.register
@dataclass(frozen=True)
class Mimic(CompromisedAttack, StatefulAttack):
    r"""Send what one benign participant sends, from all attackers: honest, and far too often.

    The attackers hold data. They aim at a biased aggregate where participants have different data,
    by updates that no rule can call wrong. The one to copy stands out along the direction :math:`z`
    in which benign updates vary most over the rounds. In each of the first ``warmup`` rounds
    :math:`t = 0, 1, \ldots` the direction takes one step of the power method from a random start:

    .. math::

        v &= \sum_i \bigl( (g_i - \mu_t) \cdot z \bigr) (g_i - \mu_t) \\
        z &\leftarrow \operatorname{unit}\!\left( \frac{t}{t + 1} z
            + \frac{1}{t + 1} \operatorname{unit}(v) \right) \\
        i^* &= \operatorname{arg\,max}_i \; g_i \cdot z

    :math:`g_i` are the updates of the round in the sample, :math:`\mu_t` is the mean over the
    rounds so far of their means, :math:`\operatorname{unit}` brings a vector to length 1, and
    :math:`i^*` is the participant to copy. After that they stay with the participant chosen last.
    In rounds without that one, as with sampled rounds, the one with the largest :math:`g_i \cdot z`
    takes its place.

    With partial knowledge they copy one of themselves, so a target must be hostile; with full
    knowledge it must be benign. The state is :math:`\mu_t` and :math:`z`, :math:`2 d` numbers, and
    a participant index.

    Raises:
        UnfitRound: (in a round) fewer than 2 usable updates, or none of the target's.

    Source:
        Sai Praneeth Karimireddy, Lie He and Martin Jaggi, `Byzantine-Robust Learning on
        Heterogeneous Datasets via Bucketing <https://arxiv.org/abs/2006.09365>`_, ICLR 2022,
        section 3, and the authors' `code
        <https://github.com/epfml/byzantine-robust-noniid-optimizer>`__. A fixed target is that of
        ByzFL, Marc González et al., `ByzFL: Research Framework for Robust Federated Learning
        <https://arxiv.org/abs/2505.24802>`_, arXiv 2025.
    """

    name: ClassVar[str] = "mimic"
    summary: ClassVar[str] = (
        "all send the update of the one benign participant that stands out most"
    )

    warmup: Annotated[int, Ge(1), "number of rounds until the participant to copy is fixed"] = 10
    target: Annotated[
        int | None,
        Ge(0),
        "index of the participant to copy from the first round on; None to choose by the updates",
    ] = None

    @property
    def least(self) -> int:
        """Two: one update has no direction to stand out along."""
        return 2

    def check(self, setting: Setting) -> None:
        """Raise UnfitRound if its sample will be too small, or without its target."""
        super().check(setting)
        n = setting.participants
        if self.target is not None and n is not None and self.target >= n:
            raise UnfitRound(f"mimic:target={self.target}: the participants are 0 to {n - 1}")
        hostile = setting.hostile_indices
        partial = self.knows is Knowledge.PARTIAL
        if self.target is not None and hostile and (self.target in hostile) != partial:
            side, copied = ("benign", "hostile") if partial else ("hostile", "benign")
            raise UnfitRound(
                f"mimic:target={self.target} is {side}, and with knowledge={self.knowledge} one of "
                f"the {copied} participants is copied; the hostile ones are "
                + ", ".join(map(str, sorted(hostile)))
            )

    def advance(
        self, broadcast: Broadcast, participants: Sequence[int], state: object | None
    ) -> tuple[Tensor, object]:
        """Return ``(k, d)``, one row in memory, and what to remember."""
        rows = usable_sample(self, broadcast)
        senders = usable_senders(self, broadcast)
        if self.target is not None:
            if self.target not in senders:
                raise UnfitRound(
                    f"mimic:target={self.target}: there is no usable update of that participant in "
                    f"round {broadcast.round_number}, only of {', '.join(map(str, senders))}"
                )
            return same_row(rows[senders.index(self.target)], len(participants)), None
        watch = self._look(broadcast, rows, senders, own(self.name, state, Watch))
        there = watch.chosen in senders
        copied = senders.index(watch.chosen) if there else _farthest(rows, watch.direction)
        return same_row(rows[copied], len(participants)), watch

    def _look(
        self, broadcast: Broadcast, rows: Tensor, senders: list[int], watch: Watch | None
    ) -> Watch:
        """Return what is known after this round."""
        t = 0 if watch is None else watch.rounds
        if watch is not None and t >= self.warmup:
            return watch
        center = mean(rows)
        if watch is None:
            draw = generator(broadcast.seed, "mimic direction")
            direction = torch.from_numpy(draw.standard_normal(rows.shape[1]))
        else:
            center = (t * watch.center + center) / (t + 1)
            direction = watch.direction
        spread = rows.float() - center.float()
        step = ((spread @ direction.float()) @ spread).double()
        direction = unit((t * direction + unit(step)) / (t + 1))
        return Watch(t + 1, center, direction, senders[_farthest(rows, direction)])


def _farthest(rows: Tensor, direction: Tensor) -> int:
    """Return the row that lies farthest along a direction."""
    return int((rows.float() @ direction.float()).argmax())
