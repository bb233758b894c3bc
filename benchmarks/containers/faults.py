"""Containers killed and paused in every round: what was promised is counted, and exactly once.

The proof is in ``marks.py``: every update leaves a mark of its own in the model.
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

from benchmarks.containers.diary import note, say
from benchmarks.containers.engine import each
from benchmarks.containers.federation import MARKING, Federation, federation
from benchmarks.containers.light import PARAMETERS
from benchmarks.containers.marks import Account, Marks
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples
from fedsiege import models
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import simulator_pb2 as control_pb
from services.rpc.tensors import Floats

CLIENTS, FEW = 50, 10
ROUNDS, FEW_ROUNDS = 20, 4
KILLED, PAUSED = 0.2, 0.1
SEED = 0
MODEL = "lenet5"
#: Seconds that a round stays open. Updates are sent, and faults happen, at any moment of most of
#: it, so that faults come before, while and after an update travels.
DEADLINE, SENT_WITHIN, FAULTS_WITHIN = 4.0, 3.0, 3.5
#: Seconds after its deadline within which a round must have moved the model.
MARGIN = 0.5
_PATIENCE = 120.0


def victims(
    seed: int, round_number: int, clients: Sequence[str], spared: Collection[str]
) -> tuple[list[str], list[str]]:
    """Draw who is killed and who is paused in a round; none is both.

    Args:
        seed: of the run.
        round_number: 1 or more.
        clients: all there are; the shares are of these.
        spared: those that cannot be drawn.
    """
    draw = random.Random(f"victims/{seed}/{round_number}")
    kills, pauses = round(KILLED * len(clients)), round(PAUSED * len(clients))
    drawn = draw.sample([one for one in clients if one not in spared], kills + pauses)
    return drawn[:kills], drawn[kills:]


class Saboteur:
    """Makes the faults of each round, and repairs them when it is over.

    Who was a victim in the round before is spared: it is being repaired.

    Args:
        clients: the containers.

    Attributes:
        killed, paused: how many were, in each round.
    """

    def __init__(self, clients: Iterable[Container]) -> None:
        self._clients = {str(one.name): one for one in clients}
        self._pool = ThreadPoolExecutor(len(self._clients))
        self._round_over = threading.Event()
        self._victims: set[str] = set()
        self._work: list[Future[None]] = []
        self.killed: Counter[int] = Counter()
        self.paused: Counter[int] = Counter()

    def round_opened(self, number: int) -> None:
        """Let the round's faults happen, each at a moment of its own."""
        self._round_over = threading.Event()
        killed, paused = victims(SEED, number, list(self._clients), self._victims)
        self._victims = {*killed, *paused}
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
            over.wait(_PATIENCE)
            getattr(container, repair)()

    def round_closed(self) -> None:
        """Repair what is broken."""
        self._round_over.set()

    def finish(self) -> None:
        """Wait until everything is repaired."""
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
        say(f"faults: {clients} containers attached")
        experiment = ours.start(
            clients=0, min_clients=clients, rounds=rounds, model=MODEL, deadline=DEADLINE, seed=SEED
        )
        federation_id = _federation_of(ours, experiment)
        saboteur = Saboteur(workers)
        try:
            entries, late = _sabotage(ours, federation_id, rounds, saboteur)
        finally:
            saboteur.finish()
        account, said = _settle(ours, federation_id, entries, marks, workers)
    heard = ", ".join(f"{word} {count}" for word, count in said.most_common())
    killed, paused = (
        [100 * count[number] / clients for number in range(1, rounds + 1)]
        for count in (saboteur.killed, saboteur.paused)
    )
    note(
        f"faults: {saboteur.killed.total()} kills and {saboteur.paused.total()} pauses in {rounds} "
        f"rounds; {len(account.counted)} updates counted, {len(account.unheard)} of them without a "
        f"receipt, {len(account.missing)} expected ones not; the workers said: {heard}"
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
            len(account.counted) - len(account.unheard) - len(account.miscounted)
        ],
        "receipt, not counted": [len(account.lost)],
        "not counted exactly once": [len(account.miscounted)],
        "record and model differ": [len(account.contradicted) + len(account.uneven)],
        "counted without a receipt": [len(account.unheard)],
        "expected, not counted": [len(account.missing)],
    }


def _federation_of(ours: Federation, experiment: str) -> str:
    """Return the federation of an experiment as soon as there is one."""
    request = control_pb.GetExperimentRequest(experiment_id=experiment)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        found = ours.control.GetExperiment(request, timeout=_PATIENCE).experiment
        if found.federation_id:
            return found.federation_id
        time.sleep(0.02)
    raise ContenderError("the experiment got no federation")


def _sabotage(
    ours: Federation, federation_id: str, rounds: int, saboteur: Saboteur
) -> tuple[list[pb.AccuracyEntry], list[float]]:
    """Follow the rounds and let each have its faults.

    Returns:
        Their entries, and how long after its deadline each had moved the model; below 0 if all
        updates were there before it.
    """
    watch = pb.WatchRoundsRequest(federation_id=federation_id, from_round=1)
    entries: list[pb.AccuracyEntry] = []
    late: list[float] = []
    opened = time.monotonic()
    timeout = _PATIENCE + 2 * rounds * DEADLINE
    for event in ours.data.WatchRounds(watch, timeout=timeout):
        match event.WhichOneof("event"):
            case "opened":
                opened = time.monotonic()
                saboteur.round_opened(event.opened.round)
            case "aggregated":
                late.append(time.monotonic() - opened - DEADLINE)
                saboteur.round_closed()
            case "closed":
                entry = event.closed.entry
                entries.append(entry)
                say(f"faults: round {entry.round}: {entry.updates} updates, {entry.seconds:.2f} s")
        if len(entries) == len(late) == rounds:
            return entries, late
    raise ContenderError(f"the federation ended after {len(entries)} rounds")


def _settle(
    ours: Federation,
    federation_id: str,
    entries: Sequence[pb.AccuracyEntry],
    marks: Marks,
    workers: Iterable[Container],
) -> tuple[Account, Counter[str]]:
    """Hold the model, the aggregator's record and the workers' logs together."""
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
    words = [
        (one["round"], one["participant"], one["said"])
        for log in each(lambda worker: worker.logs(stderr=False), workers)
        for one in map(json.loads, log.splitlines())
    ]
    account = Account.of(
        marks.counts(movement, updates),
        updates,
        accepted={key for key, outcome in outcomes.items() if outcome == pb.OUTCOME_ACCEPTED},
        receipts={(number, index) for number, index, said in words if said == "OK"},
        expected={key for key, outcome in outcomes.items() if outcome != pb.OUTCOME_NOT_SCHEDULED},
    )
    return account, Counter(said for _, _, said in words)


def _model(ours: Federation, federation_id: str) -> Floats:
    request = pb.GetModelRequest(federation_id=federation_id)
    answers = ours.data.GetModel(iter([request]), timeout=_PATIENCE)
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
