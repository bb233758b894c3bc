"""Local differential privacy: each participant clips its update and adds noise."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from fedsiege.privacy.base import Mechanism, registry
from fedsiege.privacy.gaussian import Release, classical_deviation, deviation_for


@registry.register
@dataclass(frozen=True)
class LocalGaussian(Mechanism):
    r"""Clip the whole update to a norm, and add Gaussian noise to each of its values.

    .. math::
        g \min\left( 1, \frac{C}{\lVert g \rVert} \right) + \mathcal{N}(0, \sigma^2 I), \qquad
        \sigma = \frac{S}{\varepsilon} \sqrt{2 \ln \frac{1.25}{\delta}}

    :math:`g` is the difference of all trained weights, taken as one vector, and :math:`C` the
    parameter ``clip``. Buffers, such as running statistics, are neither clipped nor noised.

    Without ``sensitivity`` the noise is calibrated: two clipped updates are at most :math:`S = 2 C`
    apart, so that the update of one round is :math:`(\varepsilon, \delta)`-differentially private,
    whatever data the participant replaces. From :math:`\varepsilon = 1` on the formula has no
    proof, and the smallest sufficient :math:`\sigma` is taken instead (Balle and Wang).

    With ``sensitivity`` it is as in Flower's ``LocalDpMod``: :math:`S` is any number, and the
    formula is used for every :math:`\varepsilon`. What this guarantees does not follow from the
    parameter epsilon, and can be next to nothing; the budget is computed from :math:`\sigma` and
    :math:`2 C`.

    Source:
        Cynthia Dwork and Aaron Roth, `The Algorithmic Foundations of Differential Privacy
        <https://doi.org/10.1561/0400000042>`_, 2014, theorem A.1; Borja Balle and Yu-Xiang Wang,
        `Improving the Gaussian Mechanism for Differential Privacy
        <https://arxiv.org/abs/1805.06530>`_, ICML 2018, theorem 8.
    """

    name = "ldp"
    summary = "each participant clips its update and adds Gaussian noise"

    epsilon: Annotated[float, Gt(0), Le(1e9), "privacy loss of one update; smaller is more"] = 1.0
    delta: Annotated[float, Ge(1e-300), Lt(1), "probability with which the guarantee may fail"] = (
        1e-5
    )
    clip: Annotated[float, Gt(0), Le(1e12), "L2 norm to which an update is clipped"] = 1.0
    sensitivity: Annotated[
        float | None,
        Gt(0),
        "distance of two updates that the noise is for, not calibrated; None for 2 * clip",
    ] = None

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise on each value."""
        if self.sensitivity is None:
            return deviation_for(2 * self.clip, self.epsilon, self.delta)
        return classical_deviation(self.sensitivity, self.epsilon, self.delta)

    @property
    def release(self) -> Release:
        """What one update gives away: the noise over the true sensitivity, twice ``clip``."""
        return Release(self.deviation / (2 * self.clip), self.delta)

    def protect(self, update: Tensor, random: np.random.Generator) -> Tensor:
        """Return the update, clipped and with noise; a zero update is noise alone."""
        norm = float(torch.linalg.vector_norm(update, dtype=torch.float64))
        factor = 1.0 if norm <= self.clip else self.clip / norm  # NaN stays NaN, and is refused
        noise = torch.from_numpy(random.standard_normal(len(update), np.float32))
        return update * factor + noise.to(update) * self.deviation

    def remarks(self, size: int | None) -> list[str]:
        """Return how large the noise is, and what one round guarantees where epsilon is not it."""
        remarks = []
        if size is not None:
            remarks.append(
                f"PRIVACY adds noise of standard deviation {self.deviation:.4g} to each of "
                f"{size:,} values, a norm of about {self.deviation * size**0.5:.3g}, to updates of "
                f"norm {self.clip:g} at most"
            )
        if self.sensitivity is not None:
            remarks.append(
                f"sensitivity={self.sensitivity:g} is not calibrated: with clip={self.clip:g} two "
                f"updates are up to {2 * self.clip:g} apart, and one round guarantees epsilon="
                f"{self.release.epsilon():.4g} at delta={self.delta:g}, not {self.epsilon:g}"
            )
        return remarks
