"""Local training as an assignment asks for it: the same for clients and for attackers."""

from pathlib import Path

from fedsiege.errors import InvalidValue
from fedsiege.training import optimiser
from fedsiege.training.hosted import Alter, LocalTraining
from fedsiege.v1 import simulator_pb2 as pb

#: The names of the contract's optimisers.
_OPTIMISERS = {
    pb.LOCAL_OPTIMIZER_UNSPECIFIED: "sgd",
    pb.LOCAL_OPTIMIZER_SGD: "sgd",
    pb.LOCAL_OPTIMIZER_ADAM: "adam",
}


def local_training(
    join: pb.Join,
    task: pb.TrainingTask,
    data: Path,
    alter: Alter = lambda shard, _: shard,
) -> LocalTraining:
    """Set up the local training of an experiment.

    Args:
        join: the assignment.
        task: how participants train.
        data: the folder of the data sets.
        alter: what is made of a participant's samples before it trains on them.

    Raises:
        InvalidValue: the assignment cannot be done.
        MissingData: the data set is not there.
    """
    if task.optimizer not in _OPTIMISERS:
        raise InvalidValue("optimizer", task.optimizer, "1 for sgd or 2 for adam; 0 is sgd, too")
    return LocalTraining(
        join.model,
        join.dataset,
        data,
        task.partition,
        task.samples,
        join.num_participants,
        join.seed,
        optimiser.create(
            _OPTIMISERS[task.optimizer],
            task.learning_rate,
            task.momentum,
            task.epochs,
            task.batch_size,
        ),
        clip=task.clip,
        device=join.device or "cpu",
        alter=alter,
    )
