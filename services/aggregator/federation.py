"""A federation: one global model, its participants, its rounds and its history."""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from fedsiege import models
from fedsiege.detectors import Audit
from fedsiege.errors import UnfitRound
from fedsiege.rules import Aggregation, RoundContext, Rule, RunningSum, StreamingRule, spell
from fedsiege.rules.pipeline import without
from fedsiege.services.aggregator.auditing import AuditDetail, Auditor
from fedsiege.services.aggregator.collecting import (
    Collector,
    MatrixCollector,
    Staging,
    SumCollector,
    new_matrix,
)
from fedsiege.services.aggregator.detail import RoundDetail, RoundDetails, describe, tested_entry
from fedsiege.services.aggregator.participants import Participants
from fedsiege.services.aggregator.round import Round
from fedsiege.services.errors import FutureRound, Malformed, WrongState
from fedsiege.services.rpc.tensors import Floats, encode_model
from fedsiege.training.base import Shard
from fedsiege.training.evaluation import Evaluator, Score
from fedsiege.v1 import aggregator_pb2 as pb

log = logging.getLogger(__name__)

#: Closed rounds kept in detail for ListParticipants.
ROUNDS_IN_DETAIL = 32
LONGEST_DEADLINE = 86_400.0


class Federation:
    """One federation: the global model, the open round, the participants and the history.

    All methods run on the event loop; audit, rule and test in a thread, on closed rounds only.

    Args:
        federation_id: the identifier in messages.
        spec: the resolved specification.
        classifier: the model, for the inputs of the data set.
        weights: ``(d,)`` the initial model.
        rule: the aggregation rule.
        evaluator: tests a model on the held-out set.
        root: clean samples of the aggregator, for rules that need some; None for other rules.
        audit: the audit that runs before the rule; None for no audit.
    """

    def __init__(
        self,
        federation_id: str,
        spec: pb.FederationSpec,
        classifier: models.Classifier,
        weights: Floats,
        rule: Rule,
        evaluator: Evaluator,
        root: Shard | None = None,
        audit: Audit | None = None,
    ) -> None:
        self.federation_id = federation_id
        self.spec = spec
        self.created_at = time.time()
        #: SHA-256 of the file of initial weights; empty if they are from no file.
        self.init_sha256 = ""
        self.participants = Participants(spec.capacity)
        self.history: list[pb.AccuracyEntry] = []
        self.details = RoundDetails(ROUNDS_IN_DETAIL)
        #: Buffers in which updates are assembled before they are added to a sum.
        self.staging = Staging(weights.size)
        self.round: Round | None = None
        self.closed_rounds = 0
        self.closed = False
        self._classifier = classifier
        self._layout = models.layout(classifier)
        self._variances = models.variances(self._layout)
        self._weights = weights
        self._encoded: list[bytes] = encode_model(1, self._layout, weights)
        self._encoded_before: list[bytes] = []
        self._rule = rule
        self._evaluator = evaluator
        self._root = root
        self._state: object | None = None
        self._auditor = None if audit is None else Auditor(audit, self.participants)
        self._matrix: Floats | None = None
        self._total: RunningSum | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._testing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    @property
    def changed(self) -> asyncio.Event:
        """An event that is set once, when the next round opens, is aggregated or is tested."""
        return self._changed

    @property
    def size(self) -> int:
        """The number of parameters of the model."""
        return self._weights.size

    def describe(self) -> pb.Federation:
        """Return the federation's description: specification, progress, sizes."""
        message = pb.Federation(
            federation_id=self.federation_id,
            spec=self.spec,
            participants=len(self.participants),
            closed_rounds=self.closed_rounds,
            open_round=self.round.number if self.round and self.round.is_open else 0,
            parameters=self.size,
            init_sha256=self.init_sha256,
        )
        message.create_time.FromMicroseconds(int(self.created_at * 1e6))
        return message

    async def measure_initial_model(self) -> None:
        """Test the initial model and append entry 0 to the history."""
        started = time.monotonic()
        score = await asyncio.to_thread(self._evaluator, torch.from_numpy(self._weights))
        entry = tested_entry(score, self._weights)
        entry.seconds = time.monotonic() - started
        self.history.append(entry)

    def encoded_model(self, round_number: int, *, even_closed: bool = False) -> list[bytes]:
        """Return the serialised messages of GetModel.

        Args:
            round_number: the round that starts from the model; 0 for the current model.
            even_closed: whether to accept the last closed round, for callers that only read it.

        Raises:
            FutureRound, WrongState: the round is not open yet, or closed.
        """
        if even_closed and round_number:
            if round_number == self.closed_rounds and self._encoded_before:
                return self._encoded_before
            if self.round is not None and round_number == self.round.number:
                return self._encoded  # open, or being aggregated
        if round_number:
            self.require_current(round_number)
        return self._encoded

    def require_current(self, round_number: int) -> Round:
        """Return the open round if it has this number.

        Raises:
            FutureRound: the round has not been opened yet.
            WrongState: the round is closed.
        """
        newest = self.round.number if self.round else self.closed_rounds
        if round_number > newest:
            raise FutureRound(
                "FUTURE_ROUND", f"round {round_number} has not been opened; the last is {newest}"
            )
        if self.round is None or round_number < newest or not self.round.is_open:
            raise WrongState(
                "STALE_ROUND",
                f"round {round_number} takes no more updates; the last to open is {newest}",
            )
        return self.round

    def open_round(
        self, number: int, indices: Sequence[int], threshold: int, deadline: float
    ) -> Round:
        """Open the next round.

        Args:
            number: one more than the last closed round.
            indices: the scheduled participants; empty for all that have enrolled.
            threshold: the number of updates that closes the round; 0 for all.
            deadline: seconds until the round closes in any case.

        Raises:
            WrongState: another round is open, the number is wrong, or no participant has enrolled.
            Malformed, NotFound, Duplicate: an argument is out of range.
            UnfitRound: the rule cannot aggregate so few updates.
        """
        if self.round is not None:
            state = "open" if self.round.is_open else "being aggregated"
            raise WrongState("ROUND_OPEN", f"round {self.round.number} is still {state}")
        if number != self.closed_rounds + 1:
            raise WrongState(
                "WRONG_ROUND", f"the next round is {self.closed_rounds + 1}, not {number}"
            )
        scheduled = self.participants.schedule(indices)
        if threshold > len(scheduled):
            raise Malformed(
                "INVALID_VALUE",
                f"a threshold of {threshold} cannot be reached by {len(scheduled)} participants",
            )
        if not 0 < deadline <= LONGEST_DEADLINE:
            raise Malformed(
                "INVALID_VALUE",
                f"a deadline of {deadline} s: must be more than 0 and at most "
                f"{LONGEST_DEADLINE:.0f}",
            )
        self._rule.for_participants(threshold or len(scheduled))
        collector = self._collector(len(scheduled))
        self.round = Round(number, scheduled, threshold or len(scheduled), deadline, collector)
        self._timer = asyncio.get_running_loop().call_later(deadline, self._deadline_passed)
        self._notify()
        return self.round

    def stop_waiting(self, number: int, indices: Iterable[int]) -> bool:
        """Stop waiting for updates that cannot come; return whether the round is still open.

        Args:
            number: the round; the call has no effect unless this round is open.
            indices: the participants whose updates cannot come.
        """
        if self.round is None or self.round.number != number:
            return False
        self.round.stop_waiting(indices)
        self.after_change()
        return self.round.is_open

    def _collector(self, participants: int) -> Collector:
        """Return an empty collector that reuses the matrix or the sum of the round before."""
        rule = self._rule
        if rule.streams and self._auditor is None:
            if self._total is None:
                self._total = RunningSum(self.size)
            return SumCollector(self._total, cast(StreamingRule, rule))
        if self._matrix is None or len(self._matrix) < participants:
            self._matrix = None  # freed before the new one is allocated
            self._matrix = new_matrix(participants, self.size)
        return MatrixCollector(self._matrix[:participants], self.spec.device)

    def _deadline_passed(self) -> None:
        if self.round is not None:
            self.round.close(pb.CLOSE_REASON_DEADLINE)
            self.after_change()

    def after_change(self) -> None:
        """Start the aggregation if the round has closed; to call after every change of it."""
        if self.round is None or self.round.is_open or self._finishing is not None or self.closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._finishing = asyncio.create_task(self._finish_round(self.round))

    async def _finish_round(self, closed: Round) -> None:
        """Aggregate a closed round and start the test of its model.

        The next round may open during the test, but is committed only after it.
        """
        try:
            audited, aggregation, problem = await asyncio.to_thread(self._aggregate, closed)
            if self._testing is not None:
                await asyncio.wait([self._testing])
            # Participants that were not scheduled may still ask for this round's model.
            all_scheduled = len(closed.indices) == len(self.participants)
            self._encoded_before = [] if all_scheduled else self._encoded
            self._encoded = encode_model(closed.number + 1, self._layout, self._weights)
            self._record(closed, audited, aggregation)
            self.closed_rounds = closed.number
            remarks = () if aggregation is None else aggregation.remarks
            self._testing = asyncio.create_task(
                self._test_round(closed, self._weights, problem, remarks)
            )
        finally:
            self.round = None
            self._finishing = None
            self._notify()

    async def _test_round(
        self, closed: Round, weights: Floats, problem: str, remarks: Sequence[str]
    ) -> None:
        """Test the model of a round, append its history entry and notify watchers."""
        score, untested = await asyncio.to_thread(self._test, weights)
        entry = tested_entry(score, weights)
        entry.MergeFrom(
            pb.AccuracyEntry(
                round=closed.number,
                updates=closed.taken - closed.quarantined,
                rejected=closed.rejected,
                quarantined=closed.quarantined,
                seconds=time.monotonic() - closed.opened_at,
                close_reason=closed.close_reason,
                problem="; ".join(filter(None, [problem, untested])),
                remarks=remarks,
            )
        )
        if not entry.model_finite:
            log.warning("round %d: the global model is no longer finite", closed.number)
        self.history.append(entry)
        self._notify()

    def _aggregate(self, closed: Round) -> tuple[AuditDetail | None, Aggregation | None, str]:
        """Audit the round and add the rule's update to the model; runs in a thread.

        An error of the audit or the rule ends the round and leaves the model unchanged.

        Returns:
            The results of the audit, the aggregation, and what went wrong (empty for nothing).
        """
        audited, step = None, f"audit {self.spec.audit}"
        context = self._context()
        try:
            if self._auditor is not None:
                audited = self._auditor.examine(closed, context)
            rule = self._rule_without_quarantined(closed)
            step = f"rule {spell(rule)}"
            aggregation = closed.aggregate(rule, context, self._state)
        except UnfitRound as error:
            log.warning("round %d: %s; the model is kept", closed.number, error)
            return audited, None, f"{error}; the model is kept"
        except Exception as error:  # else the round would never end
            log.exception("round %d: %s failed; the model is kept", closed.number, step)
            return audited, None, f"{step} failed ({error}); the model is kept"
        with np.errstate(over="ignore", invalid="ignore"):  # the test reports a destroyed model
            moved = self._weights + aggregation.update.cpu().numpy()
        self._state = aggregation.state
        if below := self._keep_variances(moved):
            remark = f"{below} variances of batch normalisation would be below 0, and are 0"
            aggregation = replace(aggregation, remarks=(*aggregation.remarks, remark))
        self._weights = moved
        return audited, aggregation, ""

    def _keep_variances(self, weights: Floats) -> int:
        """Set the variances among the weights that are below 0 to 0; return how many there were.

        Honest updates of two participants can sum to such a variance, and a hostile one at will.
        """
        below = 0
        for place in self._variances:
            values = weights[place]
            negative = values < 0  # NaN stays, and is reported as a model that is not finite
            below += int(negative.sum())
            values[negative] = 0
        return below

    def _rule_without_quarantined(self, closed: Round) -> Rule:
        """Return the rule with its f lowered, as it must be for fewer updates than expected."""
        excluded = closed.quarantined
        rule = without(self._rule, closed.taken - excluded, excluded)
        if rule != self._rule:
            log.info("round %d: %d in quarantine: %s", closed.number, excluded, spell(rule))
        return rule

    def _context(self) -> RoundContext:
        """Return the context of a round, without its participants, which the round adds."""
        return RoundContext(
            model=torch.from_numpy(self._weights).to(self.spec.device),
            layout=self._layout,
            architecture=self._classifier,
            root=self._root,
            seed=self.spec.seed,
        )

    def _test(self, weights: Floats) -> tuple[Score, str]:
        """Test the model; runs in a thread. Return the score, and what went wrong, if anything."""
        try:
            return self._evaluator(torch.from_numpy(weights)), ""
        except Exception as error:  # else the round would never end
            log.exception("the test of the model failed")
            return Score(math.nan, math.nan), f"the model could not be tested ({error})"

    def _record(
        self, closed: Round, audited: AuditDetail | None, aggregation: Aggregation | None
    ) -> None:
        """Keep the details of a round, and count accepted and rejected updates."""
        outcomes = closed.outcomes(None if aggregation is None else aggregation.accepted)
        scores = np.full(len(closed.indices), np.nan)
        if aggregation is not None and aggregation.scores is not None:
            scores[closed.taken_rows()] = aggregation.scores.cpu().numpy()
        for index, outcome in zip(closed.indices, outcomes, strict=True):
            self.participants[index].accepted += int(outcome == pb.OUTCOME_ACCEPTED)
            self.participants[index].rejected += int(outcome == pb.OUTCOME_REJECTED)
        detail = RoundDetail(
            closed.indices, outcomes, closed.norms, scores, closed.problems, audited
        )
        self.details.add(closed.number, detail)

    def participants_after(
        self, number: int, after: int, size: int
    ) -> tuple[int, list[pb.Participant], bool]:
        """Return a page of participants with their outcomes in a closed round.

        Args:
            number: the round; 0 for the last.
            after: the page begins above this index.
            size: the largest number of participants in the page.

        Returns:
            The round's number, the participants by index, and whether there are more.

        Raises:
            NotFound: the round has not closed, or its details are no longer kept.
        """
        number, detail = self.details.find(number)
        page = self.participants.page(after, size + 1)  # one more, to know whether there are more
        described = [describe(one, detail) for one in page[:size]]
        return number, described, len(page) > size

    def _notify(self) -> None:
        """Wake all watchers."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self) -> None:
        """Close the federation: end its round and its watchers, wait for running computations."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self.round is not None:
            self.round.close(pb.CLOSE_REASON_DEADLINE)
        for task in (self._finishing, self._testing):
            if task is not None:
                await asyncio.wait([task])
        self._notify()
