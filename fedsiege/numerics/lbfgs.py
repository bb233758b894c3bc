"""L-BFGS: the change of a gradient with the weights, estimated from earlier changes."""

import torch
from torch import Tensor


def hessian_times(steps: Tensor, changes: Tensor, direction: Tensor) -> Tensor:
    """Return the product of the approximate Hessian and a direction, ``(d,)`` float64.

    With S and Y the columns of steps and changes, ``sigma = s.y / s.s`` of the last pair, D the
    diagonal and L the strictly lower part of ``S^T Y``::

        B v = sigma v - [sigma S, Y] [[sigma S^T S, L], [L^T, -D]]^-1 [sigma S^T v; Y^T v]

    so that ``B s = y`` for the last pair. For a singular matrix the pseudoinverse is used.

    Byrd, Nocedal and Schnabel, *Representations of quasi-Newton matrices and their use in limited
    memory methods*, Mathematical Programming 63, 1994, theorem 2.3.

    Args:
        steps: ``(m, d)``, m 1 or more, the changes of the weights; none of them 0.
        changes: ``(m, d)``, the change of the gradient with each step.
        direction: ``(d,)``.
    """
    s, y, v = steps.double(), changes.double(), direction.double()
    products, squares = s @ y.T, s @ s.T
    sigma = products[-1, -1] / squares[-1, -1]
    lower = products.tril(-1)
    matrix = torch.cat(
        [
            torch.cat([sigma * squares, lower], dim=1),
            torch.cat([lower.T, -products.diagonal().diag()], dim=1),
        ]
    )
    weights = torch.linalg.pinv(matrix, hermitian=True) @ torch.cat([sigma * (s @ v), y @ v])
    m = len(s)
    product: Tensor = sigma * v - sigma * (weights[:m] @ s) - weights[m:] @ y
    return product
