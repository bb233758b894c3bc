"""Local training as an assignment asks for it: the same for clients and for attackers."""

from pathlib import Path

from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.training import optimiser
from fedsiege.training.hosted import Alter, LocalTraining
from fedsiege.v1 import simulator_pb2 as pb


def local_training(
    join: pb.Join,
    spec: ExperimentSpec,
    data: Path,
    alter: Alter = lambda shard, _: shard,
) -> LocalTraining:
    """Set up the local training of an experiment.

    Args:
        join: the assignment.
        spec: how participants train, as ``settings.read`` reads the task.
        data: the folder of the data sets.
        alter: what is made of a participant's samples before it trains on them.

    Raises:
        InvalidValue: the assignment cannot be done.
        MissingData: the data set is not there.
    """
    return LocalTraining(
        join.model,
        join.dataset,
        data,
        spec.partition,
        spec.samples,
        join.num_participants,
        join.seed,
        optimiser.create(
            spec.optimizer,
            spec.lr,
            spec.momentum,
            spec.epochs,
            spec.batch,
            spec.weight_decay,
        ),
        clip=spec.clip,
        device=join.device or "cpu",
        alter=alter,
    )
