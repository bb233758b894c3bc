"""Linear layers: in low-rank form for short trainings, else one matrix per participant."""

import functools

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedsiege.training.cohort.layer import ROWS, Block, Call, Layer, Stacked, runs
from fedsiege.training.optimiser import LocalSGD

#: The longest history in samples; the table of coefficients grows with its square.
LONGEST_HISTORY = 512


@runs(nn.Linear)
class Linear(Layer):
    """``z = x Wᵀ + b`` with ``x (A, B, in)``; ``begin`` selects one of the two forms."""

    takes, gives = ROWS, ROWS

    @classmethod
    def begin(cls, call: Call, block: Block) -> Layer:
        """Return the low-rank form if it needs less work and its tables are small.

        Gradients with a factor per weight are not of low rank. Nor are the steps of Adam, which are
        not linear in the gradients.
        """
        if block.factors or not isinstance(block.optimiser, LocalSGD):
            return StackedLinear(call, block)
        outputs, inputs = block.weights[call.parameters["weight"]].shape
        rows = block.steps * block.batch
        # Operations a step, per sample: rows · (in + out) on average, against 3 in · out and the
        # time it takes to move matrices of that size.
        short = rows * (inputs + outputs) <= 4 * inputs * outputs and rows <= LONGEST_HISTORY
        return (LowRankLinear if short else StackedLinear)(call, block)

    def __init__(self, call: Call, block: Block) -> None:
        self._block = block
        self._weight_name = call.parameters["weight"]
        self._bias_name = call.parameters.get("bias")
        self._weight_start = block.weights[self._weight_name]
        self._bias_start = block.weights[self._bias_name] if self._bias_name else None


class LowRankLinear(Linear):
    """The low-rank form: no matrix per participant is built before the end.

    A step moves the weights by ``dzᵀ x``, of rank B. So the training is determined by the histories
    ``X (P, T·B, in)`` and ``D (P, T·B, out)`` of inputs and gradients, and with ``k`` the
    coefficients of SGD
    ``z = k_0 (x W_0ᵀ + b_0) + ((x Xᵀ + 1) · k) D`` and ``dx = k_0 dz W_0 + ((dz Dᵀ) · k) X``,
    where the 1 carries the bias. At the end ``ΔW = (D · k)ᵀ X``, ``Δb = Σ D · k``.
    """

    def __init__(self, call: Call, block: Block) -> None:
        super().__init__(call, block)
        outputs, inputs = self._weight_start.shape
        rows = block.steps * block.batch
        self._inputs = self._weight_start.new_zeros(block.participants, rows, inputs)
        self._gradients = self._weight_start.new_zeros(block.participants, rows, outputs)
        block.kept += self._inputs.numel() + self._gradients.numel()
        self._one = self._weight_start.new_ones(1) if self._bias_name else None
        assert isinstance(block.optimiser, LocalSGD)
        table = coefficients(block.optimiser, block.steps)
        self._of_start = table[:, -1].tolist()
        self._of_rows = torch.from_numpy(table[:, :-1].repeat(block.batch, axis=1)).to(
            self._weight_start
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """Multiply with the start values, and add the contribution of the history."""
        (x,) = inputs
        seen, now = self._rows(x)
        old_inputs = self._inputs[: len(x)]
        old_inputs[:, now] = x
        z = F.linear(x, self._weight_start, self._bias_start)
        self._scale(z)
        if self._block.step:
            past = old_inputs[:, seen].mT
            mixed = torch.bmm(x, past) if self._one is None else torch.baddbmm(self._one, x, past)
            mixed.mul_(self._of_rows[self._block.step, seen])
            z.baddbmm_(mixed, self._gradients[: len(x), seen])
        return z

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Make the step by adding the gradient to the history."""
        seen, now = self._rows(gradient)
        old_gradients = self._gradients[: len(gradient)]
        old_gradients[:, now] = gradient
        if not wanted:
            return (None,)
        dx = gradient @ self._weight_start
        self._scale(dx)
        if self._block.step:
            mixed = torch.bmm(gradient, old_gradients[:, seen].mT)
            mixed.mul_(self._of_rows[self._block.step, seen])
            dx.baddbmm_(mixed, self._inputs[: len(gradient), seen])
        return (dx,)

    def write(self, deltas: dict[str, Tensor]) -> None:
        """Build the matrices of changes from the history."""
        lengths = self._block.lengths
        self._gradients.mul_(self._of_rows[lengths][:, :, None])
        torch.bmm(self._gradients.mT, self._inputs, out=deltas[self._weight_name])
        if self._bias_name:
            torch.sum(self._gradients, 1, out=deltas[self._bias_name])
        if self._block.optimiser.weight_decay:
            kept = self._weight_start.new_tensor([self._of_start[t] - 1 for t in lengths])
            deltas[self._weight_name].add_(kept[:, None, None] * self._weight_start)
            if self._bias_name and self._bias_start is not None:
                deltas[self._bias_name].add_(kept[:, None] * self._bias_start)

    def _rows(self, now: Tensor) -> tuple[slice, slice]:
        """Return the rows of the history before this step, and those of this step."""
        seen = self._block.step * self._block.batch
        return slice(seen), slice(seen, seen + now.shape[1])

    def _scale(self, of_start: Tensor) -> None:
        """Multiply by the share of the start values that weight decay has left."""
        if self._block.optimiser.weight_decay:
            of_start.mul_(self._of_start[self._block.step])


class StackedLinear(Linear):
    """The stacked form: one matrix per participant, and batched products with them."""

    def __init__(self, call: Call, block: Block) -> None:
        super().__init__(call, block)
        self._weight = Stacked(self._weight_name, block)
        self._bias = Stacked(self._bias_name, block) if self._bias_name else None

    def forward(self, *inputs: Tensor) -> Tensor:
        """Multiply with each participant's matrix."""
        (self._x,) = inputs
        if self._bias is None:
            return torch.bmm(self._x, self._weight.values.mT)
        return torch.baddbmm(self._bias.values[:, None], self._x, self._weight.values.mT)

    def backward(self, gradient: Tensor, wanted: bool) -> tuple[Tensor | None, ...]:
        """Return the gradient of the input; make the step of matrix and bias."""
        before = torch.bmm(gradient, self._weight.values) if wanted else None
        self._weight.step(torch.bmm(gradient.mT, self._x))
        if self._bias is not None:
            self._bias.step(gradient.sum(1))
        return (before,)

    def write(self, deltas: dict[str, Tensor]) -> None:
        """Write the change of matrix and bias."""
        self._weight.write(deltas[self._weight_name])
        if self._bias is not None and self._bias_name:
            self._bias.write(deltas[self._bias_name])


@functools.lru_cache(maxsize=4)
def coefficients(sgd: LocalSGD, steps: int) -> npt.NDArray[np.float64]:
    """Return the weights before each step as sums of the gradients and the start values.

    SGD is linear in the gradients, ``w_t = K[t, T] w_0 + Σ_s K[t, s] g_s``; running SGD on the
    coefficients alone gives K.

    Args:
        sgd: the optimiser.
        steps: T.

    Returns:
        K ``(T + 1, T + 1)``; row t belongs to the weights before step t, row T to the last ones.
    """
    table = np.zeros((steps + 1, steps + 1))
    table[0, steps] = 1
    velocity = np.zeros(steps + 1)
    for step in range(steps):
        gradient = sgd.weight_decay * table[step] + sgd.proximal * (table[step] - table[0])
        gradient[step] += 1
        velocity = sgd.momentum * velocity + gradient
        table[step + 1] = table[step] - sgd.learning_rate * velocity
    return table
