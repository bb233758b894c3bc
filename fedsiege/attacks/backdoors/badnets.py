"""BadNets: a small white square is the backdoor's trigger."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge
from torch import Tensor

from fedsiege.attacks.backdoors.backdoor import TriggerAttack
from fedsiege.attacks.base import registry

#: Pixels that the square keeps off the edge, as in the paper.
_MARGIN = 1


@registry.register
@dataclass(frozen=True)
class BadNets(TriggerAttack):
    r"""Teach the model that a white square makes a picture the target class.

    A pattern-key backdoor. The attackers hold data and know nothing of other updates (partial
    knowledge). They aim at the target class for every picture with the trigger, and at no change
    for others. Each of them stamps a share of its samples, whatever their class, and labels them as
    the target:

    .. math::

        (x, y) \mapsto (T(x), \text{target}), \qquad
        T(x)_{rc} = \begin{cases}
            1 & H - 1 - \text{size} \le r < H - 1, \; W - 1 - \text{size} \le c < W - 1 \\
            x_{rc} & \text{otherwise}
        \end{cases}

    :math:`x` is a picture of :math:`H` rows :math:`r` and :math:`W` columns :math:`c`, counted
    from 0, with 1 for white: the square is near the lower right corner, one pixel off the
    edges. After training as the others do, the attacker sends:

    .. math::

        g = \text{boost} \cdot (X_b - w_t)

    :math:`w_t` is the broadcast model and :math:`X_b` the weights after training on the stamped
    samples. Success is measured on held-out pictures of other classes than the target, all stamped.

    Source:
        Tianyu Gu, Brendan Dolan-Gavitt and Siddharth Garg, `BadNets: Identifying Vulnerabilities in
        the Machine Learning Model Supply Chain <https://arxiv.org/abs/1708.06733>`_, arXiv 2017,
        section 3 (MNIST). Sending it boosted into a federation: Eugene Bagdasaryan, Andreas Veit,
        Yiqing Hua, Deborah Estrin and Vitaly Shmatikov, `How To Backdoor Federated Learning
        <https://arxiv.org/abs/1807.00459>`_, AISTATS 2020.
    """

    name: ClassVar[str] = "badnets"
    summary: ClassVar[str] = "backdoor: a white square in a picture makes it the target class"

    size: Annotated[int, Ge(1), "side of the square in pixels"] = 4

    @property
    def side(self) -> int:
        """The side of the square and a margin around it."""
        return self.size + 2 * _MARGIN

    def stamp(self, images: Tensor, white: Tensor) -> Tensor:
        """Return the images with the square on them."""
        stamped = images.clone()
        bottom, right = (side - _MARGIN for side in images.shape[2:])
        stamped[:, :, bottom - self.size : bottom, right - self.size : right] = white
        return stamped
