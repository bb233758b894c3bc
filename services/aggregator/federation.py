"""A federation: one global model, its participants, its rounds and its history."""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from fedsiege.detectors import Audit
from fedsiege.errors import UnfitRound
from fedsiege.rules import Aggregation, RoundContext, Rule, RunningSum, StreamingRule, spell
from fedsiege.rules.pipeline import without
from fedsiege.training.base import Shard
from fedsiege.training.evaluation import Evaluator, Score
from fedsiege.v1 import aggregator_pb2 as pb
from services.aggregator.auditing import AuditDetail, Auditor
from services.aggregator.collecting import (
    Collector,
    MatrixCollector,
    Staging,
    SumCollector,
    new_matrix,
)
from services.aggregator.detail import RoundDetail, RoundDetails, describe, tested_entry
from services.aggregator.participants import Participants
from services.aggregator.round import Round
from services.errors import Duplicate, FutureRound, Malformed, NotFound, WrongState
from services.rpc.tensors import Floats, Layout, encode_model

log = logging.getLogger(__name__)

#: Closed rounds kept in detail for ListParticipants.
ROUNDS_IN_DETAIL = 32
LONGEST_DEADLINE = 86_400.0


class Federation:
    """The global model and everything that happens to it.

    All methods run on the event loop; rule and test run in a thread and see only what a closed
    round no longer changes.

    Args:
        federation_id: its name on the wire.
        spec: settled.
        layout: name and shape of each tensor of the model.
        weights: ``(d,)`` the initial model.
        rule: the aggregation rule.
        evaluator: tests a model on the held-out set.
        root: clean samples of the aggregator's own, for rules that ask for some.
        audit: looks at every round before the rule does.
    """

    def __init__(
        self,
        federation_id: str,
        spec: pb.FederationSpec,
        layout: Layout,
        weights: Floats,
        rule: Rule,
        evaluator: Evaluator,
        root: Shard | None = None,
        audit: Audit | None = None,
    ) -> None:
        self.federation_id = federation_id
        self.spec = spec
        self.created_at = time.time()
        #: Of the file that the initial weights are from; empty where they are from none.
        self.init_sha256 = ""
        self.participants = Participants(spec.capacity)
        self.history: list[pb.AccuracyEntry] = []
        self.details = RoundDetails(ROUNDS_IN_DETAIL)
        #: Where updates are put together for a rule that is a sum.
        self.staging = Staging(weights.size)
        self.round: Round | None = None
        self.closed_rounds = 0
        self.closed = False
        self._layout = layout
        self._weights = weights
        self._encoded: list[bytes] = encode_model(1, layout, weights)
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
        """The event that is set, once, when a round opens, moves the model or is tested."""
        return self._changed

    @property
    def size(self) -> int:
        """How many parameters the model has."""
        return self._weights.size

    def describe(self) -> pb.Federation:
        """Say what the federation is and where it stands."""
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
        """Write entry 0 of the history."""
        started = time.monotonic()
        score = await asyncio.to_thread(self._evaluator, torch.from_numpy(self._weights))
        entry = tested_entry(score, self._weights)
        entry.seconds = time.monotonic() - started
        self.history.append(entry)

    def encoded_model(self, round_number: int, *, even_closed: bool = False) -> list[bytes]:
        """Return the serialised messages of GetModel.

        Args:
            round_number: the round the caller wants to take part in; 0 for the current model.
            even_closed: the caller only looks: the last round will do, too.
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
        """Return the open round if it has this number; say precisely why not otherwise."""
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
            indices: who may take part; empty for all who have enrolled.
            threshold: updates that close it; 0 for all.
            deadline: seconds until it closes in any case.

        Raises:
            WrongState, Malformed, NotFound, UnfitRound: why it cannot be opened.
        """
        if self.round is not None:
            state = "open" if self.round.is_open else "being aggregated"
            raise WrongState("ROUND_OPEN", f"round {self.round.number} is still {state}")
        if number != self.closed_rounds + 1:
            raise WrongState(
                "WRONG_ROUND", f"the next round is {self.closed_rounds + 1}, not {number}"
            )
        scheduled = sorted(indices) if indices else self.participants.indices()
        if not scheduled:
            raise WrongState("NO_PARTICIPANTS", "nobody has enrolled")
        for before, index in zip([-1, *scheduled], scheduled, strict=False):
            if index == before:
                raise Duplicate("DUPLICATE_INDEX", f"participant {index} is scheduled twice")
            if index not in self.participants:
                raise NotFound("UNKNOWN_PARTICIPANT", f"nobody has enrolled with index {index}")
        if threshold > len(scheduled):
            raise Malformed(
                "INVALID_VALUE",
                f"a threshold of {threshold} cannot be reached by {len(scheduled)} participants",
            )
        if not 0 < deadline <= LONGEST_DEADLINE:
            raise Malformed(
                "INVALID_VALUE",
                f"a deadline of {deadline} s: more than 0 and at most {LONGEST_DEADLINE:.0f}",
            )
        self._rule.for_participants(threshold or len(scheduled))
        collector = self._collector(len(scheduled))
        self.round = Round(number, scheduled, threshold or len(scheduled), deadline, collector)
        self._timer = asyncio.get_running_loop().call_later(deadline, self._deadline_passed)
        self._notify()
        return self.round

    def stop_waiting(self, number: int, indices: Iterable[int]) -> bool:
        """Stop waiting for participants of the open round whose updates cannot come any more.

        Args:
            number: the round; nothing changes if another one is open, or none.
            indices: the participants.

        Returns:
            Whether that round is still open.
        """
        if self.round is None or self.round.number != number:
            return False
        self.round.stop_waiting(indices)
        self.after_change()
        return self.round.is_open

    def _collector(self, participants: int) -> Collector:
        """Return an empty collector; matrix and sum are kept and used again."""
        rule = self._rule
        if isinstance(rule, StreamingRule) and rule.streams and self._auditor is None:
            if self._total is None:
                self._total = RunningSum(self.size)
            return SumCollector(self._total, rule)
        if self._matrix is None or len(self._matrix) < participants:
            self._matrix = None  # before the new one is there, not after
            self._matrix = new_matrix(participants, self.size)
        return MatrixCollector(self._matrix[:participants], self.spec.device)

    def _deadline_passed(self) -> None:
        if self.round is not None:
            self.round.close(pb.CLOSE_REASON_DEADLINE)
            self.after_change()

    def after_change(self) -> None:
        """Aggregate if the round has closed. Called after every update taken or refused."""
        if self.round is None or self.round.is_open or self._finishing is not None or self.closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._finishing = asyncio.create_task(self._finish_round(self.round))

    async def _finish_round(self, closed: Round) -> None:
        """Aggregate; the next round may then open while this one's model is tested.

        Tests keep up: no round is committed before the one before it has its entry.
        """
        try:
            audited, aggregation, problem = await asyncio.to_thread(self._aggregate, closed)
            if self._testing is not None:
                await asyncio.wait([self._testing])
            # Who had to send an update has seen it; the others may still be about to look.
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
        """Test what a round made of the model, write its entry, tell everyone."""
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
        """Audit the round and move the model by the rule's update; runs in a thread.

        Whatever goes wrong in them, the round ends and says so; a federation that waits for ever
        helps nobody.
        """
        audited, about = None, f"audit {self.spec.audit}"
        context = self._context()
        try:
            if self._auditor is not None:
                audited = self._auditor.examine(closed, context)
            rule = self._rule_without_quarantined(closed)
            about = f"rule {spell(rule)}"
            aggregation = closed.aggregate(rule, context, self._state)
        except UnfitRound as error:
            log.warning("round %d: %s; the model is kept", closed.number, error)
            return audited, None, f"{error}; the model is kept"
        except Exception as error:  # any other would leave everyone waiting for this round
            log.exception("round %d: %s failed; the model is kept", closed.number, about)
            return audited, None, f"{about} failed ({error}); the model is kept"
        with np.errstate(over="ignore", invalid="ignore"):  # a destroyed model is reported, below
            self._weights = self._weights + aggregation.update.cpu().numpy()
        self._state = aggregation.state
        return audited, aggregation, ""

    def _rule_without_quarantined(self, closed: Round) -> Rule:
        """Return the rule for whom the audit leaves: else an audit that works would stop it."""
        out = closed.quarantined
        rule = without(self._rule, closed.taken - out, out)
        if rule != self._rule:
            log.info("round %d: without the %d put out: %s", closed.number, out, spell(rule))
        return rule

    def _context(self) -> RoundContext:
        """Return what is known of any round; the round adds who took part in it."""
        return RoundContext(
            model=torch.from_numpy(self._weights).to(self.spec.device),
            layout=self._layout,
            architecture=self.spec.model,
            root=self._root,
            seed=self.spec.seed,
        )

    def _test(self, weights: Floats) -> tuple[Score, str]:
        """Test the model; runs in a thread. A test that fails is said, and ends the round too."""
        try:
            return self._evaluator(torch.from_numpy(weights)), ""
        except Exception as error:  # any would leave everyone waiting for this round
            log.exception("the test failed")
            return Score(math.nan, math.nan), f"the model could not be tested ({error})"

    def _record(
        self, closed: Round, audited: AuditDetail | None, aggregation: Aggregation | None
    ) -> None:
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
        """Return a page of participants with what became of them in a closed round.

        Args:
            number: the round; 0 for the last.
            after: the page begins with the next index.
            size: how many participants it has at most.

        Returns:
            The round's number, the participants by index, and whether there are more.

        Raises:
            NotFound: the round has not closed, or is too long ago.
        """
        number, detail = self.details.find(number)
        page = self.participants.page(after, size + 1)  # one more tells whether there is more
        described = [describe(one, detail) for one in page[:size]]
        return number, described, len(page) > size

    def _notify(self) -> None:
        """Wake everyone who watches."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self) -> None:
        """End the federation and free its memory."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self.round is not None:
            self.round.close(pb.CLOSE_REASON_DEADLINE)
        for task in (self._finishing, self._testing):
            if task is not None:
                await asyncio.wait([task])
        self._notify()
