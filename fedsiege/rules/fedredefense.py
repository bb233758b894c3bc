"""FedREDefense: leaves out updates that no few synthetic images reproduce."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from fedsiege import seeding
from fedsiege.errors import InvalidValue, UnfitRound
from fedsiege.inputs import Inputs
from fedsiege.numerics.distances import row_norms
from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import (
    Aggregation,
    StatefulRule,
    keep_model,
    registry,
)
from fedsiege.rules.context import RoundContext
from fedsiege.rules.distillation import Distillation, Synthetic
from fedsiege.rules.memory import NO_IDENTITIES, REMEMBERED, SHAPES, Memory, Turnout
from fedsiege.rules.network import classes_of, size_of, trained_of
from fedsiege.rules.state import own

#: Where the search for the learning rate of the steps starts.
_FIRST_RATE = 0.1


@dataclass(frozen=True)
class FedREDefenseState(Memory):
    """What FedREDefense remembers; tensors are float32 unless another type is given.

    Attributes:
        banned: ``(k,)`` bool.
        images: ``(k, classes, *input_shape)``, from which the next search of each starts.
        labels: ``(k, classes, classes)``.
        rates: ``(k,)``.
    """

    banned: Tensor
    images: Tensor
    labels: Tensor
    rates: Tensor


@registry.register
@dataclass(frozen=True)
class FedREDefense(StatefulRule):
    r"""The mean of the updates that can be distilled into one image per class.

    For each participant the rule searches images X, soft labels Y and a learning rate :math:`\eta`
    with which ``steps`` steps of SGD from the global model :math:`w_t` reproduce its update. The
    error of participant i is

    .. math::
        e_i = \min_{X, Y, \eta}
        \frac{\lVert u_S(X, Y, \eta) - w_t - g_i \rVert^2}{\lVert g_i \rVert^2}, \qquad
        u_{s+1} = u_s - \eta \nabla \ell(u_s; X, Y), \quad u_0 = w_t

    with S the number of steps and :math:`\ell` the cross entropy, over the parameters: buffers,
    such as running statistics, are not moved by a gradient, and are no part of the error. The
    result is the mean of the updates with :math:`e_i` up to ``threshold``. A participant with a
    larger error is banned for good. An update of zeros needs no images and has the error 0. Where
    no participant is left, the model is kept: an update of zeros, no row accepted.

    It needs the global model and its architecture. It is slow: about 50 ms for each participant and
    iteration of the search with LeNet-5 on one core. Memory is by identity:
    ``4 s classes + 4 classes^2`` bytes each, s being the numbers in an image, 784 for MNIST. A
    banned identity that was forgotten may come back.

    Threshold, steps, squared error, warm start and ban are confirmed against the authors' code.
    There the search is SGD with momentum for 800 to 2000 iterations on a GPU. Here it is Adam,
    which took honest updates of LeNet-5 on MNIST below the threshold in 10 to 60 iterations, so a
    few honest participants may be banned.

    Source:
        Yueqi Xie, Minghong Fang, Neil Zhenqiang Gong. `FedREDefense: Defending against Model
        Poisoning Attacks for Federated Learning using Model Update Reconstruction Error
        <https://proceedings.mlr.press/v235/xie24c.html>`_. ICML 2024. Code: `xyq7/FedREDefense
        <https://github.com/xyq7/FedREDefense>`_.
    """

    name: ClassVar[str] = "fedredefense"
    summary: ClassVar[str] = "mean of the updates that a few synthetic images can reproduce (slow)"
    accuses: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("model", "architecture", "input_shape")

    threshold: Annotated[
        float,
        Gt(0),
        Lt(1),
        "largest relative reconstruction error of an accepted update; 1 is the error of doing "
        "nothing",
    ] = 0.6
    steps: Annotated[
        int, Ge(1), "steps of SGD on the synthetic images that are to reproduce an update"
    ] = 5
    iterations: Annotated[int, Ge(1), "steps of the search for the images"] = 60
    rate: Annotated[float, Gt(0), "learning rate of Adam in the search"] = 0.1
    remember: Annotated[
        int, Ge(1), "number of participants remembered; those absent longest are forgotten first"
    ] = REMEMBERED

    def check_inputs(self, inputs: Inputs) -> None:
        """Raise InvalidValue for tokens, which no gradient moves."""
        if inputs.tokens:
            allowed = f"another rule: {self.name} looks for pictures or features, not for tokens"
            raise InvalidValue("rule", self.name, allowed)

    def advance(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate; the scores are the errors, 1 for participants banned before.

        It needs model and architecture.

        Raises:
            InvalidValue: the state is not this rule's, or one of models with other classes.
        """
        n, d = updates.shape
        weights = context.model_for(self.name, updates)
        if size_of(context.architecture) != d:
            raise UnfitRound(f"{self.name}: the model does not have the {d} weights of the updates")
        classes = classes_of(context.architecture, context.input_shape)
        images = (classes, *context.input_shape)
        before = self._before(state, images) or self._nothing(images)
        turnout = before.turnout(context.identities(n), self.remember)
        banned = turnout.recall_into(torch.zeros(n, dtype=torch.bool), before.banned)
        data = self._start(before, turnout, context, updates.device)

        errors = banned.double()
        learnt = updates[:, : trained_of(context.architecture)]
        norms = row_norms(learnt)
        looked_at = (~banned & (norms > 0)).nonzero().flatten()
        # Errors are relative: rows of any size are distilled at a size that float32 can square.
        sought = looked_at[norms[looked_at] < 1e15]
        errors[looked_at] = 1.0  # no image moves a model by more than that
        if len(sought) > 0:
            search = Distillation(context.architecture, weights, self.steps, self.rate)
            at = sought.to(updates.device)
            found, better = search.search(
                learnt[at].float(), data.rows(at), self.iterations, self.threshold
            )
            errors[sought] = found.clamp(max=1e30)
            data.images[at], data.labels[at], data.rates[at] = (
                better.images,
                better.labels,
                better.rates,
            )
        accepted = ~banned & (errors <= self.threshold)
        after = self._after(before, turnout, ~accepted, data)
        if not accepted.any():
            return keep_model(updates, errors, after)
        return Aggregation(weighted_mean(updates, accepted.double()), accepted, errors, after)

    def _before(self, state: object | None, images: tuple[int, ...]) -> FedREDefenseState | None:
        """Return the memory of earlier rounds, None in the first; images are of that shape."""
        classes = images[0]
        return own(
            self.name,
            state,
            FedREDefenseState,
            finite=["images", "labels", "rates"],
            **SHAPES,
            banned=("k",),
            images=("k", *images),
            labels=("k", classes, classes),
            rates=("k",),
        )

    def _nothing(self, images: tuple[int, ...]) -> FedREDefenseState:
        """Return the memory before the first round; images are of that shape."""
        classes = images[0]
        return FedREDefenseState(
            NO_IDENTITIES,
            NO_IDENTITIES,
            0,
            banned=NO_IDENTITIES.bool(),
            images=torch.zeros(0, *images),
            labels=torch.zeros(0, classes, classes),
            rates=torch.zeros(0),
        )

    def _start(
        self,
        before: FedREDefenseState,
        turnout: Turnout,
        context: RoundContext,
        device: torch.device,
    ) -> Synthetic:
        """Return where the searches start: where the last ended, or at the same noise for all."""
        n, (_, classes, *shape) = len(turnout.places), before.images.shape
        random = seeding.generator(context.seed, "fedredefense images")
        noise = torch.from_numpy(random.standard_normal((classes, *shape), np.float32))
        images = noise.repeat(n, *[1] * noise.ndim)
        labels = torch.zeros(n, classes, classes)
        rates = torch.full((n,), _FIRST_RATE)
        turnout.recall_into(images, before.images)
        turnout.recall_into(labels, before.labels)
        turnout.recall_into(rates, before.rates)
        return Synthetic(images.to(device), labels.to(device), rates.to(device))

    def _after(
        self, before: FedREDefenseState, turnout: Turnout, banned: Tensor, data: Synthetic
    ) -> FedREDefenseState:
        """Return the memory after this round."""
        return FedREDefenseState(
            turnout.identities,
            turnout.seen,
            turnout.rounds,
            banned=turnout.carry(banned, before.banned),
            images=turnout.carry(data.images.cpu(), before.images),
            labels=turnout.carry(data.labels.cpu(), before.labels),
            rates=turnout.carry(data.rates.cpu(), before.rates),
        )
