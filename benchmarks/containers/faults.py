"""Containers killed and paused in every round: updates with a receipt must count exactly once.

Every update leaves a mark of its own in the model, which shows how often it was counted; see
``marks.py``.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from docker.errors import APIError
from docker.models.containers import Container

from benchmarks.containers.engine import each
from benchmarks.containers.federation import MARKING, Federation, federation
from benchmarks.containers.light import PARAMETERS
from benchmarks.containers.marks import Account, Marks
from benchmarks.containers.progress import add_finding, show
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples
from fedsiege import models
from fedsiege.services.rpc.tensors import Floats
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import simulator_pb2 as control_pb

CLIENTS, FEW = 50, 10
ROUNDS, FEW_ROUNDS = 20, 4
KILLED, PAUSED = 0.2, 0.1
SEED = 0
MODEL = "lenet5"
#: Seconds that a round stays open, and within which updates are sent and faults made: faults happen
#: before, during and after the submission of an update.
DEADLINE, SENT_WITHIN, FAULTS_WITHIN = 4.0, 3.0, 3.5
#: Seconds after its deadline within which a round must have updated the model.
MARGIN = 0.5
_TIME_LIMIT = 120.0


def draw_containers(
    seed: int, round_number: int, clients: Sequence[str], spared: Collection[str]
) -> tuple[list[str], list[str]]:
    """Draw the containers to kill and those to pause in a round; none is in both lists.

    Args:
        seed: the seed of the run.
        round_number: the round, from 1.
        clients: all containers, of which the shares are taken.
        spared: containers that are not drawn.
    """
    draw = random.Random(f"victims/{seed}/{round_number}")
    kills, pauses = round(KILLED * len(clients)), round(PAUSED * len(clients))
    drawn = draw.sample([one for one in clients if one not in spared], kills + pauses)
    return drawn[:kills], drawn[kills:]


class FaultMaker:
    """Makes faults in each round, and repairs them when the round is over.

    A container with a fault has none in the next round, in which it is being repaired.

    Args:
        clients: the containers.

    Attributes:
        killed: number of killed containers by round.
        paused: number of paused containers by round.
    """

    def __init__(self, clients: Iterable[Container]) -> None:
        self._clients = {str(one.name): one for one in clients}
        self._pool = ThreadPoolExecutor(len(self._clients))
        self._round_over = threading.Event()
        self._affected: set[str] = set()
        self._work: list[Future[None]] = []
        self.killed: Counter[int] = Counter()
        self.paused: Counter[int] = Counter()

    def round_opened(self, number: int) -> None:
        """Start the faults of a round, each at a random time in it."""
        self._round_over = threading.Event()
        killed, paused = draw_containers(SEED, number, list(self._clients), self._affected)
        self._affected = {*killed, *paused}
        draw = random.Random(f"moments/{SEED}/{number}")

        def begin(name: str, fault: str, repair: str, count: Counter[int]) -> None:
            after, over = draw.uniform(0, FAULTS_WITHIN), self._round_over
            work = self._pool.submit(self._fault, name, after, over, fault, repair, count, number)
            self._work.append(work)

        for name in killed:
            begin(name, "kill", "start", self.killed)
        for name in paused:
            begin(name, "pause", "unpause", self.paused)

    def _fault(
        self,
        name: str,
        after: float,
        over: threading.Event,
        fault: str,
        repair: str,
        count: Counter[int],
        number: int,
    ) -> None:
        container = self._clients[name]
        if over.wait(after):
            return  # the round closed before the fault
        with suppress(APIError):  # it is not running
            getattr(container, fault)()
            count[number] += not over.is_set()
            over.wait(_TIME_LIMIT)
            getattr(container, repair)()

    def round_closed(self) -> None:
        """Start to repair the containers."""
        self._round_over.set()

    def finish(self) -> None:
        """Wait until all containers are repaired."""
        self._round_over.set()
        self._pool.shutdown()
        for work in self._work:
            work.result()


def _measure(effort: Effort) -> Samples:
    clients, rounds = effort.of(CLIENTS, FEW), effort.of(ROUNDS, FEW_ROUNDS)
    marks = Marks(PARAMETERS, rounds, clients)
    with federation("faults") as ours:
        workers = ours.workers(
            MARKING, clients, f"--rounds={rounds}", f"--of={clients}", f"--within={SENT_WITHIN}"
        )
        ours.wait_for_workers(clients)
        show(f"faults: {clients} containers attached")
        experiment = ours.start(
            clients=0, min_clients=clients, rounds=rounds, model=MODEL, deadline=DEADLINE, seed=SEED
        )
        federation_id = _federation_of(ours, experiment)
        fault_maker = FaultMaker(workers)
        try:
            entries, late = _run_rounds(ours, federation_id, rounds, fault_maker)
        finally:
            fault_maker.finish()
        account, results = _reconcile(ours, federation_id, entries, marks, workers)
    logged = ", ".join(f"{word} {count}" for word, count in results.most_common())
    killed, paused = (
        [100 * count[number] / clients for number in range(1, rounds + 1)]
        for count in (fault_maker.killed, fault_maker.paused)
    )
    add_finding(
        f"faults: {fault_maker.killed.total()} kills and {fault_maker.paused.total()} pauses in "
        f"{rounds} rounds; {len(account.counted)} updates counted, of them "
        f"{len(account.without_receipt)} without a receipt; {len(account.missing)} expected ones "
        f"not counted; results that the workers logged: {logged}"
    )
    return {
        "closed": [len(entries)],
        "after the deadline": late,
        "the latest": [max(late)],
        "killed": killed,
        "fewest killed": [min(killed)],
        "paused": paused,
        "fewest paused": [min(paused)],
        "updates counted": [len(account.counted)],
        "receipt, counted once": [
            len(account.counted) - len(account.without_receipt) - len(account.miscounted)
        ],
        "receipt, not counted": [len(account.lost)],
        "not counted exactly once": [len(account.miscounted)],
        "record and model differ": [len(account.disagreeing) + len(account.wrong_totals)],
        "counted without a receipt": [len(account.without_receipt)],
        "expected, not counted": [len(account.missing)],
    }


def _federation_of(ours: Federation, experiment: str) -> str:
    """Wait for the federation of an experiment; return its id."""
    request = control_pb.GetExperimentRequest(experiment_id=experiment)
    until = time.monotonic() + _TIME_LIMIT
    while time.monotonic() < until:
        found = ours.control.GetExperiment(request, timeout=_TIME_LIMIT).experiment
        if found.federation_id:
            return found.federation_id
        time.sleep(0.02)
    raise ContenderError("the experiment got no federation")


def _run_rounds(
    ours: Federation, federation_id: str, rounds: int, fault_maker: FaultMaker
) -> tuple[list[pb.AccuracyEntry], list[float]]:
    """Watch the rounds and make faults in each.

    Returns:
        The entries of the rounds, and how many seconds after its deadline each had updated the
        model; below 0 if all updates arrived before the deadline.
    """
    watch = pb.WatchRoundsRequest(federation_id=federation_id, from_round=1)
    entries: list[pb.AccuracyEntry] = []
    late: list[float] = []
    opened = time.monotonic()
    timeout = _TIME_LIMIT + 2 * rounds * DEADLINE
    for event in ours.data.WatchRounds(watch, timeout=timeout):
        match event.WhichOneof("event"):
            case "opened":
                opened = time.monotonic()
                fault_maker.round_opened(event.opened.round)
            case "aggregated":
                late.append(time.monotonic() - opened - DEADLINE)
                fault_maker.round_closed()
            case "closed":
                entry = event.closed.entry
                entries.append(entry)
                show(f"faults: round {entry.round}: {entry.updates} updates, {entry.seconds:.2f} s")
        if len(entries) == len(late) == rounds:
            return entries, late
    raise ContenderError(f"the federation ended after {len(entries)} rounds")


def _reconcile(
    ours: Federation,
    federation_id: str,
    entries: Sequence[pb.AccuracyEntry],
    marks: Marks,
    workers: Iterable[Container],
) -> tuple[Account, Counter[str]]:
    """Compare the model, the aggregator's record and the workers' logs; count the results."""
    first, _ = models.initial_weights(MODEL, "random", "digits", SEED)
    movement = _model(ours, federation_id) - first.numpy()
    updates = {entry.round: entry.updates for entry in entries}
    outcomes = {
        (number, one.participant_index): one.outcome
        for number in updates
        for one in ours.data.ListParticipants(
            pb.ListParticipantsRequest(federation_id=federation_id, round=number)
        ).participants
    }
    results = [
        (one["round"], one["participant"], one["result"])
        for log in each(lambda worker: worker.logs(stderr=False), workers)
        for one in map(json.loads, log.splitlines())
    ]
    account = Account.of(
        marks.counts(movement, updates),
        updates,
        accepted={key for key, outcome in outcomes.items() if outcome == pb.OUTCOME_ACCEPTED},
        receipts={(number, index) for number, index, result in results if result == "OK"},
        expected={key for key, outcome in outcomes.items() if outcome != pb.OUTCOME_NOT_SCHEDULED},
    )
    return account, Counter(result for _, _, result in results)


def _model(ours: Federation, federation_id: str) -> Floats:
    request = pb.GetModelRequest(federation_id=federation_id)
    answers = ours.data.GetModel(iter([request]), timeout=_TIME_LIMIT)
    chunks = [message.chunk.data for message in answers]
    return np.frombuffer(b"".join(chunks), np.float32)


def _claim(text: str, measure: str, unit: str = "", **bound: float) -> Claim:
    return Claim(text, lambda medians: medians["FedSiege", measure], unit, **bound)


FAULTS = Benchmark(
    name="faults",
    title=f"{ROUNDS} rounds of {CLIENTS} containers, {KILLED:.0%} killed and {PAUSED:.0%} paused "
    f"in each, deadline {DEADLINE:g} s",
    units={
        "closed": "rounds",
        "after the deadline": "s",
        "the latest": "s",
        "killed": "%",
        "fewest killed": "%",
        "paused": "%",
        "fewest paused": "%",
        "updates counted": "",
        "receipt, counted once": "",
        "receipt, not counted": "",
        "not counted exactly once": "",
        "record and model differ": "",
        "counted without a receipt": "",
        "expected, not counted": "",
    },
    contenders=[Contender("FedSiege", _measure)],
    claims=[
        _claim("rounds that closed", "closed", "rounds", at_least=ROUNDS),
        _claim("the latest after its deadline", "the latest", "s", at_most=MARGIN),
        _claim("killed in every round", "fewest killed", "%", at_least=100 * KILLED),
        _claim("paused in every round", "fewest paused", "%", at_least=100 * PAUSED),
        _claim("updates with a receipt that were not counted", "receipt, not counted", at_most=0),
        _claim("updates counted otherwise than once", "not counted exactly once", at_most=0),
        _claim("differences between record and model", "record and model differ", at_most=0),
    ],
    most_repeats=1,
)
