"""DBA: the trigger is shared out among the attackers, and tested as a whole."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor

from fedsiege.attacks.backdoors.backdoor import TriggerAttack
from fedsiege.attacks.base import registry
from fedsiege.seeding import random_group

#: Row and first column of each strip of 1 by 4 white pixels: trigger size 4, gap 2, at (0, 0).
STRIPS = ((0, 0), (0, 6), (3, 0), (3, 6))
_LENGTH = 4


@registry.register
@dataclass(frozen=True)
class Dba(TriggerAttack):
    r"""Share a trigger of four strips out among the attackers, and use all four at the end.

    The attackers hold data and know nothing of other updates (partial knowledge). They aim at the
    target class for every picture with the whole trigger, by updates that look less alike than
    those of attackers with one trigger. Each trains with one strip alone:

    .. math::

        (x, y) \mapsto (T_{k(i)}(x), \text{target}), \qquad
        T_k(x)_{rc} = \begin{cases}
            1 & r = r_k, \; c_k \le c < c_k + 4 \\
            x_{rc} & \text{otherwise}
        \end{cases}

    The trigger is four strips of 1 by 4 white pixels in the upper left corner, in two rows three
    apart with two pixels between them: :math:`(r_k, c_k)` is (0, 0), (0, 6), (3, 0) or (3, 6). The
    strip :math:`k(i)` of participant :math:`i` is drawn at random by its index, the same in every
    run. A share of the samples is stamped, and the update is multiplied by ``boost`` before it is
    sent. Success is measured with all four strips, on held-out pictures of other classes than the
    target.

    The paper's attackers take one round each and replace the model: 10 participants over a server
    learning rate of 0.1 make a boost of 100. These attackers take all rounds together, where a
    boost of 5 replaces the model if they are a fifth. In the authors' code attackers train ten
    times as long as the others, and stamp other samples in every batch; here they train as long as
    the others, on samples that stay the same.

    Measured after 30 rounds on MNIST with LeNet-5 from random weights, 50 participants, a fifth
    hostile, ``dirichlet-prior:1``, plain mean: with 300 samples a participant success is 100 %, and
    80 % at boost 1; with 60 samples, the set-up of ``experiments/ladder.yaml``, 98, 24 and 18 % at
    three seeds, the last 27 % after 60 rounds. Four pixels are a faint trigger: it takes longer
    than that of ``badnets``.

    Source:
        Chulin Xie, Keli Huang, Pin-Yu Chen and Bo Li, `DBA: Distributed Backdoor Attacks against
        Federated Learning <https://openreview.net/forum?id=rkgyS0VFvr>`_, ICLR 2020, section 3;
        strips, scaling and the test on their union, without inputs of the target class, confirmed
        against the authors' `code <https://github.com/AI-secure/DBA>`__ and its settings for MNIST.
    """

    name: ClassVar[str] = "dba"
    summary: ClassVar[str] = (
        "backdoor: a trigger of four strips; each attacker trains with one of them"
    )

    boost: Annotated[float, Gt(0), "factor on the update before it is sent"] = 5.0

    @property
    def side(self) -> int:
        """As far as the strips reach."""
        return max(max(row, column + _LENGTH - 1) for row, column in STRIPS) + 1

    def stamp(self, images: Tensor, white: Tensor) -> Tensor:
        """Return the images with all four strips on them."""
        stamped = images.clone()
        for row, column in STRIPS:
            stamped[:, :, row : row + 1, column : column + _LENGTH] = white
        return stamped

    def stamp_of(self, participant: int, images: Tensor, white: Tensor) -> Tensor:
        """Return the images with the strip of one attacker on them."""
        stamped = images.clone()
        row, column = STRIPS[random_group("dba pattern", participant, len(STRIPS))]
        stamped[:, :, row : row + 1, column : column + _LENGTH] = white
        return stamped
