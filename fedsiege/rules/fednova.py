"""FedNova: normalised averaging."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from fedsiege.errors import InvalidValue
from fedsiege.numerics.means import median_of, weighted_mean
from fedsiege.registry import Spelling
from fedsiege.rules.base import Aggregation, Rule, keep_model, registry, samples_cut
from fedsiege.rules.context import RoundContext


@registry.register
@dataclass(frozen=True)
class FedNova(Rule):
    r"""The mean of the updates per unit of local work, times the mean work.

    .. math::
        \tau_\mathrm{eff} \sum_{i=1}^n p_i\, \frac{g_i}{A_i}, \qquad
        \tau_\mathrm{eff} = \begin{cases}
            \sum_i p_i A_i & \mu = 0 \\
            \sum_i p_i \tau_i & \mu > 0
        \end{cases}

    where :math:`A_i = \lVert a_i \rVert_1` is how much the local solver adds up over the
    :math:`\tau_i` steps that participant i reports:

    .. math::
        A_i = \begin{cases}
            \tau_i & \text{plain SGD} \\[1ex]
            \dfrac{1}{1 - \rho} \left( \tau_i - \dfrac{\rho\, (1 - \rho^{\tau_i})}{1 - \rho} \right)
            & \text{momentum } \rho \\[2ex]
            \dfrac{1 - (1 - a)^{\tau_i}}{a} & \text{proximal term, } a = \eta \mu
        \end{cases}

    with :math:`\rho` the parameter ``momentum``, :math:`\mu` the parameter ``mu`` and :math:`\eta`
    the parameter ``lr``. By default :math:`p_i = 1 / n`, as in ``fedavg``: two rules that are
    compared should differ in one thing. The paper's :math:`p_i = n_i / \sum_j n_j`, with the
    reported sample counts :math:`n_i`, is ``weighted=true``, in both rules. With equal steps and no
    proximal term this is FedAvg.

    In an experiment the three parameters are those of the participants' training, ``PROX`` for mu,
    unless the rule sets its own. For momentum together with a proximal term there is no published
    formula: with ``PROX`` above 0 momentum must be 0, and :math:`\eta \mu < 1`. Adam divides each
    step by the gradients it has seen, so for Adam there is no :math:`a_i`.

    It is no defence. Step and sample counts are claims, and the smaller :math:`A_i`, the more an
    update counts. So step counts are bounded to ``spread`` times and ``1 / spread`` of the median
    of all claims (and at least 1), sample counts to the range from 1 to ``bound``; a round in which
    a bound cuts a count has a remark. Where the update would not be finite, the model is kept: an
    update of zeros, no row accepted. It needs the step counts. Cost: :math:`O(n d)`.

    Source:
        Jianyu Wang, Qinghua Liu, Hao Liang, Gauri Joshi, H. Vincent Poor. `Tackling the Objective
        Inconsistency Problem in Heterogeneous Federated Optimization
        <https://arxiv.org/abs/2007.07481>`_. NeurIPS 2020, section 4. Formulas as in the authors'
        code, `JYWa/FedNova <https://github.com/JYWa/FedNova>`_, which zeroes the local momentum
        every round. (Flower's baseline divides by the sum of the scales, which cancels
        :math:`\tau_\mathrm{eff}`.)
    """

    name: ClassVar[str] = "fednova"
    summary: ClassVar[str] = "mean of the updates divided by their local steps (no defence)"
    needs: ClassVar[tuple[str, ...]] = ("steps",)
    needs_if: ClassVar[Mapping[str, str]] = {"weighted": "weights"}

    weighted: Annotated[
        bool, "weight each update by the sample count that its participant reports"
    ] = False
    bound: Annotated[int, Ge(1), "largest sample count that is believed"] = 1000
    spread: Annotated[
        float, Ge(1), "largest factor between a step count and the median step count"
    ] = 10.0
    momentum: Annotated[float, Ge(0), Lt(1), "momentum of the participants' SGD"] = 0.0
    mu: Annotated[float, Ge(0), "weight of the participants' proximal term"] = 0.0
    lr: Annotated[
        float, Gt(0), "learning rate of the participants; it matters only if mu is above 0"
    ] = 0.01
    optimizer: Annotated[
        Literal["sgd"],
        Spelling("sgd: how much Adam adds up does not follow from the number of its steps"),
        "optimiser of the participants",
    ] = "sgd"

    def check_together(self) -> None:
        """Raise InvalidValue where parameters do not go together."""
        if self.lr * self.mu >= 1:
            raise InvalidValue(f"{self.name}:mu", self.mu, f"below 1 / lr = {1 / self.lr:g}")
        if self.mu > 0 and self.momentum > 0:
            allowed = f"0 where there is momentum, here {self.momentum:g}, or momentum 0"
            raise InvalidValue(f"{self.name}:mu", self.mu, allowed)

    @property
    def uses_reports(self) -> bool:
        """True: it divides by the step counts that participants report."""
        return True

    def combine(self, updates: Tensor, context: RoundContext) -> Aggregation:
        """Aggregate; every row counts. It needs the steps and, if weighted, the sample counts."""
        assert context.steps is not None
        claims = context.steps.double().cpu().clamp(min=1)
        middle = median_of(claims)
        steps = claims.clamp(max(1.0, middle / self.spread), middle * self.spread)
        remarks = self._steps_cut(claims, steps)
        shares = torch.ones_like(steps)
        if self.weighted:
            assert context.weights is not None
            shares = context.weights.double().cpu().clamp(1, self.bound)
            remarks += samples_cut(self.name, context.weights.tolist(), self.bound)
        shares /= shares.sum()
        work = self.work(steps)
        effective = float((shares * (work if self.mu == 0 else steps)).sum())
        update = weighted_mean(updates, effective * shares / work, shares)
        if not update.isfinite().all():
            return replace(keep_model(updates), remarks=tuple(remarks))
        everyone = torch.ones(len(updates), dtype=torch.bool)
        return Aggregation(update, everyone, remarks=tuple(remarks))

    def _steps_cut(self, claims: Tensor, steps: Tensor) -> list[str]:
        """Return remarks on the step counts that do not count as they were reported."""
        high, low = claims > steps, claims < steps
        ends = []
        if high.any():
            most = f"report more, {float(claims.max()):.15g} at most"
            ends.append((high, f"{self.spread:g} times the median", most))
        if low.any():
            least = f"report fewer, {float(claims.min()):.15g} at least"
            ends.append((low, f"the median over {self.spread:g}", least))
        return [
            f"{self.name} counts {float(steps[cut][0]):g} steps, {limit}, for {int(cut.sum())} of "
            f"{len(claims)} participants that {reported}; {self.name}:spread=X changes that"
            for cut, limit, reported in ends
        ]

    def work(self, steps: Tensor) -> Tensor:
        """Return ``A`` of ``(n,)`` numbers of steps, 1 or more; fractions are taken as they are."""
        rho, alpha = self.momentum, self.lr * self.mu
        if alpha > 0:
            return (1 - (1 - alpha) ** steps) / alpha
        return (steps - rho * (1 - rho**steps) / (1 - rho)) / (1 - rho)
