"""Consecutive rounds, with and without training, beside Flower's simulation."""

from benchmarks import federation as ours
from benchmarks import flower
from benchmarks.contest import Benchmark, Claim, Contender, Effort, Samples

PARTICIPANTS = 100
#: Settings of SGD in the training rounds: four samples in one batch are one step an epoch.
EPOCHS, LEARNING_RATE, SAMPLES_EACH = 5, 0.01, 4


def _ours_echo(effort: Effort) -> Samples:
    with ours.federation(ours.ECHO, PARTICIPANTS) as federation:
        seconds = federation.round_seconds(
            clients=PARTICIPANTS, model="lenet5", rule="fedavg", rounds=effort.of(31, 6)
        )
    return {"round": seconds}


def _flowers_echo(effort: Effort) -> Samples:
    rounds = flower.simulate("rounds", effort.of(9, 4), clients=PARTICIPANTS)
    return {"round": rounds.round_seconds}


def _ours_training(effort: Effort) -> Samples:
    with ours.federation(ours.CLIENT, PARTICIPANTS) as federation:
        seconds = federation.round_seconds(
            clients=PARTICIPANTS,
            model="lenet5",
            rule="fedavg",
            rounds=effort.of(31, 6),
            samples=SAMPLES_EACH,
            batch=SAMPLES_EACH,
            epochs=EPOCHS,
            lr=LEARNING_RATE,
            momentum=0.0,
        )
    return {"round": seconds}


def _flowers_training(effort: Effort) -> Samples:
    rounds = flower.simulate(
        "training",
        effort.of(6, 3),
        clients=PARTICIPANTS,
        model="lenet5",
        epochs=EPOCHS,
        learning_rate=LEARNING_RATE,
    )
    return {"round": rounds.round_seconds}


def _times_faster(times: float) -> Claim:
    return Claim(
        f"rounds per second, {ours.NAME} ÷ {flower.NAME}",
        lambda medians: medians[flower.NAME, "round"] / medians[ours.NAME, "round"],
        "x",
        at_least=times,
    )


ECHO = Benchmark(
    name="rounds",
    title=f"A round of {PARTICIPANTS} participants that echo 44,426 floats, no training, fedavg",
    units={"round": "s"},
    contenders=[
        Contender(flower.NAME, _flowers_echo, flower.ENVIRONMENT.prepare),
        Contender(ours.NAME, _ours_echo),
    ],
    claims=[_times_faster(20)],
)

TRAINING = Benchmark(
    name="training-rounds",
    title=f"A round of {PARTICIPANTS} participants that train LeNet-5: "
    f"{SAMPLES_EACH} samples, {EPOCHS} epochs, fedavg",
    units={"round": "s"},
    contenders=[
        Contender(flower.NAME, _flowers_training, flower.ENVIRONMENT.prepare),
        Contender(ours.NAME, _ours_training),
    ],
    claims=[_times_faster(16)],
)
