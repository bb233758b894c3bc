"""How much of a matrix is in its two largest singular values."""

import torch
from torch import Tensor

#: Up to this size all eigenvalues cost no more than the first few.
_SMALL = 16
#: Vectors and steps of subspace iteration: two more than are wanted would do.
_VECTORS = 6
_STEPS = 6


def top_two(matrices: Tensor) -> Tensor:
    """Return ``(s1^2 + s2^2) / ||A||_F^2`` of each matrix: 1 for rank two, near 0 for noise.

    From the Gram matrix of the smaller side. Where that is large, subspace iteration finds the
    eigenvalues: from below, and closely where the spectrum falls, which is where it matters.

    Args:
        matrices: ``(m, r, c)`` float32, both sides 2 or more. They may be views.

    Returns:
        ``(m,)`` float64 in [0, 1] on the device of the matrices; 1 for a matrix of zeros.
    """
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.transpose(1, 2)
    norms = torch.linalg.vector_norm(matrices, dim=(1, 2))
    scaled = wide / torch.where(norms > 0, norms, 1.0)[:, None, None]
    gram = scaled @ scaled.transpose(1, 2)
    k = gram.shape[1]
    if k > _SMALL:
        # Any start that favours no coordinate; the same in every round.
        cosines = torch.arange(k * _VECTORS, device=gram.device, dtype=torch.float32).mul(1.7).cos()
        basis = cosines.view(k, _VECTORS).expand(len(gram), -1, -1)
        for _ in range(_STEPS):
            basis = torch.linalg.qr(gram @ basis).Q
        gram = basis.transpose(1, 2) @ gram @ basis
    # In float64: of ill-conditioned fakes the float32 decomposition can fail.
    top = torch.linalg.eigvalsh(gram.double())[:, -2:].sum(dim=1).clamp(0, 1)
    return torch.where(norms > 0, top, 1.0)
