"""FLDetector: leaves out the participants whose updates are hard to predict."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from fedsiege import seeding
from fedsiege.numerics.clusters import more_than_one_cluster, two_means
from fedsiege.numerics.lbfgs import hessian_times
from fedsiege.numerics.means import weighted_mean
from fedsiege.rules.base import Aggregation, StatefulRule, registry
from fedsiege.rules.context import RoundContext
from fedsiege.rules.memory import NO_IDENTITIES, REMEMBERED, SHAPES, Memory, Turnout, no_rows
from fedsiege.rules.state import own


@dataclass(frozen=True)
class FLDetectorState(Memory):
    """What FLDetector remembers.

    Attributes:
        updates: ``(k, d)`` float32, what each sent last.
        scores: ``(k, window)`` float64, the latest distances of each, the newest last; NaN where
            there are not that many.
        model: ``(d,)`` float32, the global model of the last round.
        mean: ``(d,)`` float32, its aggregated update.
        steps: ``(m, d)`` float32, the changes of the model in the latest rounds, m at most window;
            0 where it did not move.
        changes: ``(m, d)`` float32, how the aggregated update changed with each.
    """

    updates: Tensor
    scores: Tensor
    model: Tensor
    mean: Tensor
    steps: Tensor
    changes: Tensor


@registry.register
@dataclass(frozen=True)
class FLDetector(StatefulRule):
    r"""The mean without the participants whose updates are predicted worst, if they are a cluster.

    The update of participant i is predicted from its last one, and the error :math:`e_i` is its
    share of all errors of the round:

    .. math::
        \hat g_i = g_i' + H (w_t - w'), \qquad
        e_i = \frac{\lVert g_i - \hat g_i \rVert}{\sum_j \lVert g_j - \hat g_j \rVert}

    where :math:`g_i'` is the last update of i, :math:`w'` the global model that it was for,
    :math:`w_t` the global model of this round, and H the Hessian that L-BFGS estimates from the
    changes of the global model and of the aggregated update in the last ``window`` rounds. The
    score of a participant is the mean of its last ``window`` errors. Among the participants that
    have that many, the gap statistic decides whether there is more than one cluster. If so, 2-means
    splits them, and those with the larger errors are left out this round. Participants with fewer
    errors are accepted.

    It does not see MPAF: fakes that all pull to one point are *more* predictable than honest
    participants, which are then left out.

    It needs the global model. Memory is by identity, absent participants keep theirs; ``4 d`` bytes
    for each, and ``8 d window``. A participant that was absent for more than ``window`` rounds is
    not predicted in the first round after. So where each round draws a few of many participants,
    none is predicted often enough to be judged, and the rule is the mean: with 10 of 400 a round,
    for 300 rounds and more. With 10 of 100 it judges.

    L-BFGS, normalisation and gap statistic are confirmed against the authors' code, in which all
    participants take part in every round. There, detection ends training, which begins anew without
    the detected.

    Source:
        Zaixi Zhang, Xiaoyu Cao, Jinyuan Jia, Neil Zhenqiang Gong. `FLDetector: Defending Federated
        Learning Against Model Poisoning Attacks via Detecting Malicious Clients
        <https://arxiv.org/abs/2207.09209>`_. KDD 2022, algorithms 1 to 3. Code:
        `zaixizhang/FLDetector <https://github.com/zaixizhang/FLDetector>`_.
    """

    name: ClassVar[str] = "fldetector"
    summary: ClassVar[str] = "mean without the participants whose updates are predicted worst"
    accuses: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("model",)

    window: Annotated[
        int, Ge(2), "number of rounds that a prediction and a score are made from"
    ] = 10
    remember: Annotated[
        int, Ge(1), "number of participants remembered; those absent longest are forgotten first"
    ] = REMEMBERED

    @property
    def judges_after(self) -> int:
        """After as many predicted rounds as the window has."""
        return self.window

    def advance(self, updates: Tensor, context: RoundContext, state: object | None) -> Aggregation:
        """Aggregate; the scores are the mean distances. It needs the model.

        Raises:
            InvalidValue: the state is not this rule's, or one of another window or of models of
                another size.
        """
        n, model = len(updates), context.model_for(self.name, updates)
        before = self._before(state, updates.shape[1]) or self._nothing(updates, model)
        turnout = before.turnout(context.identities(n), self.remember)
        scores = torch.full((n, self.window), torch.nan, dtype=torch.float64)
        turnout.recall_into(scores, before.scores)
        distances = self._distances(updates, model, before, turnout.places)
        observed = distances.isfinite()
        scores[observed] = torch.cat([scores[observed, 1:], distances[observed, None]], dim=1)
        accepted = self._accepted(scores.mean(dim=1), context)
        mean = weighted_mean(updates, accepted.double())
        after = self._after(before, turnout, updates, scores, model, mean)
        return Aggregation(mean, accepted, scores.nanmean(dim=1).nan_to_num(), after)

    def _before(self, state: object | None, d: int) -> FLDetectorState | None:
        """Return the memory of the rounds before, None in the first."""
        return own(
            self.name,
            state,
            FLDetectorState,
            finite=["updates", "steps", "changes"],
            **SHAPES,
            updates=("k", d),
            scores=("k", self.window),
            model=(d,),
            mean=(d,),
            steps=("m", d),
            changes=("m", d),
        )

    def _nothing(self, updates: Tensor, model: Tensor) -> FLDetectorState:
        """Return the memory before the first round."""
        none = no_rows(updates)
        scores = torch.zeros(0, self.window, dtype=torch.float64)
        return FLDetectorState(
            NO_IDENTITIES, NO_IDENTITIES, 0, none, scores, model, model, none, none
        )

    def _distances(
        self, updates: Tensor, model: Tensor, before: FLDetectorState, place: Tensor
    ) -> Tensor:
        """Return ``(n,)`` float64: distances to the predictions, divided by their sum, or NaN."""
        distances = torch.full((len(updates),), torch.nan, dtype=torch.float64)
        steps, changes = before.steps.to(updates.device), before.changes.to(updates.device)
        moving = steps.any(dim=1)
        if not moving.any():
            return distances
        moved = model - before.model.to(updates.device)
        corrections: dict[int, Tensor] = {}
        for i, j in enumerate(place.tolist()):
            # How many rounds lie between its last update and the last round's.
            missed = before.rounds - int(before.seen[j]) if j >= 0 else len(steps) + 1
            if missed > len(steps):
                continue
            if missed not in corrections:
                since = moved + steps[len(steps) - missed :].sum(dim=0)
                known = steps[moving], changes[moving]
                corrections[missed] = hessian_times(*known, since.nan_to_num())
            expected = before.updates[j].to(updates.device) + corrections[missed]
            distances[i] = float((updates[i] - expected).norm())
        total = distances.nansum()
        return distances / total if total > 0 else distances

    def _accepted(self, averages: Tensor, context: RoundContext) -> Tensor:
        """Return ``(n,)`` bool: which rows are not left out, from ``(n,)`` averages or NaN."""
        accepted = torch.ones(len(averages), dtype=torch.bool)
        judged = averages.isfinite()
        random = seeding.generator(context.seed, "fldetector gap", context.round_number)
        if more_than_one_cluster(averages[judged], random):
            boundary = two_means(averages[judged].sort().values[None]).boundary
            accepted[judged] = averages[judged] <= boundary
        return accepted

    def _after(
        self,
        before: FLDetectorState,
        turnout: Turnout,
        updates: Tensor,
        scores: Tensor,
        model: Tensor,
        mean: Tensor,
    ) -> FLDetectorState:
        """Return the memory after this round."""
        device = updates.device
        steps, changes = before.steps.to(device), before.changes.to(device)
        if before.rounds > 0:
            # Between two of the largest numbers lies an infinity, which no later round would stand.
            step = (model - before.model.to(device)).nan_to_num()
            change = (mean - before.mean.to(device)).nan_to_num()
            steps = torch.cat([steps, step[None]])[-self.window :]
            changes = torch.cat([changes, change[None]])[-self.window :]
        return FLDetectorState(
            turnout.identities,
            turnout.seen,
            turnout.rounds,
            updates=turnout.carry(updates.float(), before.updates),
            scores=turnout.carry(scores, before.scores),
            model=model.clone(),  # the caller may go on with its own
            mean=mean.clone(),
            steps=steps,
            changes=changes,
        )
