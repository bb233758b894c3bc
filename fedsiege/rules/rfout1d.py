"""RFOut-1d: robust filtering of outliers, coordinate by coordinate."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from fedsiege.errors import InvalidValue
from fedsiege.numerics.matrix import column_blocks
from fedsiege.rules.base import Aggregation, Rule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.noise import with_noise

#: Numbers of a block, in float64: a handful of them stay in the cache.
_BLOCK = 2**16
#: Where |z| is 3 exactly, as with one outlier in ten, rounding must not make it more.
_EXACTLY = 1 + 1e-9


@registry.register
@dataclass(frozen=True)
class RFOut1d(Rule):
    r"""The mean after every value more than 3 standard deviations off has become the mean.

    .. math::
        \mathrm{Agg}_k = \frac{1}{n} \sum_{i=1}^n \tilde g_{i,k}, \qquad
        \tilde g_{i,k} = \begin{cases}
            \mu_k & |g_{i,k} - \mu_k| > 3 \sigma_k \\
            g_{i,k} & \text{otherwise}
        \end{cases}

    where :math:`\mu_k` and :math:`\sigma_k` are the mean and the population standard deviation of
    coordinate k over all n rows, computed once, outliers included. With ``clip``, the filtered rows
    :math:`\tilde g_i` are scaled to a norm of ``clip`` at most before they are averaged; with
    ``noise``, the mean gets normal noise with a standard deviation of ``noise clip / n``.

    The rule follows the paper and its code, with these consequences:

    - k equal outliers lie :math:`\sqrt{(n - k) / k}` standard deviations off: they are caught only
      if they are less than 10 % of the rows, and a single one only if :math:`n \ge 11`;
    - a value that is caught becomes the contaminated mean: its weight falls from p to :math:`p^2`,
      p being the share of outliers, not to 0, so MPAF with a scale of 1e6 still destroys the model.
      See ``rfout1d-robust``.

    Cost: :math:`O(n d)`. A variant in the paper's code without ``if clip > 0`` multiplies all by 0
    and is not copied.

    Source:
        Nuria Rodríguez-Barroso, Eugenio Martínez-Cámara, M. Victoria Luzón, Francisco Herrera.
        `Backdoor attacks-resilient aggregation based on robust filtering of outliers in federated
        learning for image classification <https://doi.org/10.1016/j.knosys.2022.108588>`_.
        Knowledge-Based Systems 245, 2022. Code: `ari-dasci/S-RFOut
        <https://github.com/ari-dasci/S-RFOut>`_.
    """

    name: ClassVar[str] = "rfout1d"
    summary: ClassVar[str] = (
        "mean after values over 3 standard deviations off were replaced by the mean"
    )

    clip: Annotated[
        float | None, Gt(0), "largest L2 norm of a filtered row; None for no clipping"
    ] = None
    noise: Annotated[
        float,
        Ge(0),
        "standard deviation of the noise on the mean, as a multiple of clip / n; needs clip",
    ] = 0.0

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.noise > 0 and self.clip is None:
            raise InvalidValue(f"{self.name}:noise", self.noise, "0 where clip is not given")

    def remark(self, n: int) -> str:
        """Return a remark where no value can be far enough from the mean: sqrt(n - 1) <= 3."""
        return f"{self.name} filters nothing among fewer than 11 updates, {n}" if n < 11 else ""

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts, its score is the share of its values that were replaced."""
        n, d = updates.shape
        replaced = torch.zeros(n, dtype=torch.int64, device=updates.device)
        squares = torch.zeros(n, dtype=torch.float64, device=updates.device)
        mean = torch.empty(d, device=updates.device)
        for columns, values, outliers in _filtered(updates):
            replaced += outliers.sum(dim=1)
            squares += values.square().sum(dim=1)
            mean[columns] = values.mean(dim=0).float()
        if self.clip is not None:
            factors = (self.clip / squares.sqrt()).clamp(max=1.0)  # 1 where the norm is 0
            for columns, values, _ in _filtered(updates):
                mean[columns] = (values * factors[:, None]).mean(dim=0).float()
            mean = with_noise(mean, self.noise * self.clip / n, "rfout1d noise", context)
        return Aggregation(mean, torch.ones(n, dtype=torch.bool), replaced.double().cpu() / d)


def _filtered(updates: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield the columns, their filtered values ``(n, width)`` float64, and where they were."""
    n, d = updates.shape
    for columns in column_blocks(d, max(1, _BLOCK // n)):
        values = updates[:, columns].double()
        mean = values.mean(dim=0)
        deviations = (values - mean).square_()
        outliers = deviations > 9 * _EXACTLY * deviations.mean(dim=0)
        yield columns, torch.where(outliers, mean, values), outliers
