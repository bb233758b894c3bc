"""The covariance of updates, computed from their distances: n x n numbers instead of d x d."""

import torch
from torch import Tensor
from torch.nn import functional

#: Up to this size all eigenvectors cost no more than the first few.
_SMALL = 64
#: Lanczos' method ends after so many steps, or when there is nothing new.
_MOST_STEPS = 300
_NOTHING = 1e-14


class CenteredProducts:
    """The inner products ``<g_i - m, g_j - m>`` of rows around their weighted mean m.

    ``P = -J D J^T / 2`` with D the squared distances and ``J = I - 1 p^T``. The products are as
    accurate as the distances between rows with weight; rows of weight 0 do not affect them, however
    far they are.

    Args:
        distances: ``(n, n)`` float64, squared and finite.
        weights: ``(n,)`` float64, 0 or more, not all 0; p is their share.

    Attributes:
        squares: ``(n,)`` float64, the squared distance of each row from m: the diagonal of P.
    """

    def __init__(self, distances: Tensor, weights: Tensor) -> None:
        self._distances = distances
        self._shares = weights / weights.sum()
        to_mean = self._distances @ self._shares
        self.squares = (to_mean - 0.5 * (self._shares @ to_mean)).clamp(min=0)

    def times(self, vector: Tensor) -> Tensor:
        """Return P times a vector ``(n,)``, or several, ``(n, k)``."""
        shares = self._shares if vector.ndim == 1 else self._shares[:, None]
        image = self._distances @ (vector - vector.sum(dim=0) * shares)
        return (image - self._shares @ image) * -0.5

    def matrix(self) -> Tensor:
        """Return P, ``(n, n)``."""
        return (self.squares[:, None] + self.squares).sub_(self._distances).mul_(0.5)

    def principal(self, count: int = 1, tolerance: float = 1e-7) -> tuple[Tensor, Tensor]:
        """Return the variances along the principal directions, and the rows' coordinates.

        The directions are the eigenvectors of the largest eigenvalues of the weighted covariance.

        Args:
            count: the number of directions, at most n.
            tolerance: the largest residual of an eigenvector, relative to the largest eigenvalue.
                The error of an eigenvalue is its square, divided by the distance to the others.

        Returns:
            ``(count,)`` float64, the variances, the largest first; and ``(n, count)`` float64, the
            inner products of ``g_i - m`` with each direction, a unit vector of either sign; 0 where
            there is no variance.
        """
        roots = self._shares.sqrt()
        values, vectors = self._eigenvectors(roots, count, tolerance)
        values = values.clamp(min=0)
        lengths = torch.where(values > 0, values, torch.inf).sqrt()
        return values, self.times(roots[:, None] * vectors) / lengths

    def _eigenvectors(self, roots: Tensor, count: int, tolerance: float) -> tuple[Tensor, Tensor]:
        """Return eigenvalues and ``(n, count)`` eigenvectors of ``diag(roots) P diag(roots)``."""
        n = len(roots)
        if n <= _SMALL or (tolerance < 1e-3 and n <= 4 * _SMALL):
            values, vectors = torch.linalg.eigh(self.matrix() * roots * roots[:, None])
            return values.flip(0)[:count], vectors.flip(1)[:, :count]
        # Lanczos' method from the row farthest from the mean, with full reorthogonalisation.
        basis = roots.new_empty(min(n, _MOST_STEPS), n)  # few of which will be written
        tridiagonal = roots.new_zeros(len(basis), len(basis))
        basis[0] = 0.0
        basis[0, int((self.squares * roots).argmax())] = 1.0
        for k in range(len(basis)):
            vector = basis[k]
            image = roots * self.times(roots * vector)
            tridiagonal[k, k] = vector @ image
            for _ in range(2):  # once is not enough for orthogonality to the last digit
                image -= (basis[: k + 1] @ image) @ basis[: k + 1]
            rest = float(image.norm())
            exhausted = k + 1 == len(basis) or rest <= _NOTHING * float(tridiagonal[0, 0])
            if exhausted or (k % 5 == 4 and k >= count):
                values, vectors = torch.linalg.eigh(tridiagonal[: k + 1, : k + 1])
                residual = rest * float(vectors[-1, -count:].abs().max())
                if exhausted or residual <= tolerance * float(values[-1]):
                    break
            tridiagonal[k, k + 1] = tridiagonal[k + 1, k] = rest
            basis[k + 1] = image / rest
        found = basis[: k + 1].T @ vectors.flip(1)[:, :count]
        missing = count - found.shape[1]
        return (
            functional.pad(values.flip(0)[:count], (0, missing)),
            functional.pad(found, (0, missing)),
        )
