"""Less weight for who is alike: a hidden minority that pulls one way counts as one at most."""

from torch import Tensor

#: What a cosine counts: with 2, a minority that spreads out to cosines of 0.2 keeps most of its
#: pull; with 1, honest participants who have little in common pay as well.
_COSINE = 1.5
#: What the crowd around one takes off its weight. Above 1 a crowd of k weighs less than one who is
#: alone; from 1.5 on, a few who are alone decide where the model goes, and it may stand still.
_CROWD = 1.2


def similarity_weights(residuals: Tensor, members: Tensor, *, crowded: bool = True) -> Tensor:
    """Return ``a_i = 1 / max(1, sum_j max(0, r_i . r_j)^1.5)^1.2`` over the members j, i included.

    k vectors of one direction get ``k^-1.2`` each: together less than one vector that is at right
    angles to all others. So it holds without knowing who is hostile.

    Args:
        residuals: ``(P, P)`` float64, the products of the r.
        members: ``(P,)`` bool.
        crowded: False for ``1 / max(1, sum_j max(0, r_i . r_j)^2)``, with which k vectors of one
            direction weigh together what one does.

    Returns:
        ``(P,)`` float64 in (0, 1].
    """
    cosine, crowd = (_COSINE, _CROWD) if crowded else (2.0, 1.0)
    alike = residuals.clamp(min=0).pow(cosine) @ members.double()
    return alike.clamp(min=1).pow(-crowd)
