"""One client container with thousands of participants."""

from benchmarks.containers import engine
from benchmarks.containers.federation import CLIENT, federation
from benchmarks.containers.progress import add_finding, show
from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples

PARTICIPANTS, FEW = 5000, 200
ROUNDS = 6


def _measure(effort: Effort) -> Samples:
    participants = effort.of(PARTICIPANTS, FEW)
    with federation("crowd") as ours:
        [client] = ours.workers(CLIENT, 1, f"--participants={participants}")
        ours.wait_for_workers(1)
        show(f"crowd: the container with {participants} participants is attached")
        finished = ours.run_experiment(clients=participants, rounds=ROUNDS)
        counts = [entry.updates for entry in finished.entries]
        if counts != [participants] * ROUNDS:
            raise ContenderError(f"updates in each round: {counts}")
        add_finding(f"crowd: {next(one for one in finished.experiment.notes if 'worker' in one)}")
        return {
            "took part in every round": [min(counts)],
            "round": [entry.seconds for entry in finished.entries],
            "memory of the client": engine.memory([client]),
            "memory of the aggregator": engine.memory([ours.aggregator]),
        }


CROWD = Benchmark(
    name="crowd",
    title=f"One client container with {PARTICIPANTS:,} participants: Net on digits, as `make up`",
    units={
        "took part in every round": "",
        "round": "s",
        "memory of the client": "MiB",
        "memory of the aggregator": "MiB",
    },
    contenders=[Contender("FedSiege", _measure)],
    claims=[
        Claim(
            "participants of one container in a round",
            lambda medians: medians["FedSiege", "took part in every round"],
            "",
            at_least=PARTICIPANTS,
        )
    ],
    most_repeats=1,
)
