"""An experiment lets something outside act on every round, and makes no fault it cannot make."""

import pytest

from fedsiege.errors import FedSiegeError
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.simulator.intervention import Intervention
from fedsiege.v1 import simulator_pb2 as pb

SPEC = ExperimentSpec(clients=4, attack=0.0, rounds=3, dataset="digits", trainer="loop")


class Diary(Intervention):
    """Writes down what it is told."""

    makes_faults = True

    def __init__(self, failing_in: int = 0) -> None:
        self.acts: list[tuple[str, int]] = []
        self.recorded_rounds: list[tuple[int, list[int]]] = []
        self._failing_in = failing_in

    async def before(self, round_number):
        if round_number == self._failing_in:
            raise FedSiegeError("the engine is on fire")
        self.acts.append(("before", round_number))

    async def after(self, round_number):
        self.acts.append(("after", round_number))

    def recorded(self, round_number, participants):
        self.recorded_rounds.append((round_number, [row.index for row in participants]))


async def play(town, spec, intervention=None):
    town.hire("client-1", 4)
    experiment = await town.simulator.start(resolve(spec), "", None)
    if intervention is not None:
        experiment.intervention = intervention
    async for _ in experiment.watch():
        pass
    return experiment


@pytest.mark.parametrize("faults", ["", "kill:0.5"])
async def test_it_acts_around_every_round(town, faults):
    diary = Diary()
    spec = SPEC.model_copy(update={"faults": faults})
    experiment = await play(town, spec, diary)
    assert experiment.state == pb.EXPERIMENT_STATE_FINISHED, experiment.problem
    assert diary.acts == [(act, n) for n in (1, 2, 3) for act in ("before", "after")]
    assert diary.recorded_rounds == [(n, [0, 1, 2, 3]) for n in (1, 2, 3)]
    assert experiment.round == 3


async def test_an_error_of_it_ends_the_experiment_with_what_there_is(town):
    experiment = await play(town, SPEC, Diary(failing_in=3))
    assert experiment.state == pb.EXPERIMENT_STATE_FAILED
    assert experiment.problem == "the engine is on fire"
    assert [entry.round for entry in experiment.history] == [0, 1, 2]


async def test_faults_that_nobody_makes_are_refused(town):
    experiment = await play(town, SPEC.model_copy(update={"faults": "kill:0.5"}))
    assert experiment.state == pb.EXPERIMENT_STATE_FAILED
    assert "FAULTS='kill:0.5' is not possible" in experiment.problem
    assert experiment.history == []
