"""Local training of an assignment, the same for clients and attackers."""

from pathlib import Path

from fedsiege import privacy
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.training import optimiser
from fedsiege.training.hosted import Alter, LocalTraining
from fedsiege.v1 import simulator_pb2 as pb


def local_training(
    join: pb.Join,
    spec: ExperimentSpec,
    data: Path,
    alter: Alter | None = None,
) -> LocalTraining:
    """Set up the local training of an experiment.

    Args:
        join: the assignment.
        spec: the settings of training, parsed from the task by ``settings.read``.
        data: the folder of the data sets.
        alter: changes a participant's samples before it trains on them, for data poisoning; None
            for no change.

    Raises:
        InvalidValue: a setting is not possible.
        MissingData: the data set is missing.
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
            spec.recipe.lr,
            spec.momentum,
            spec.epochs_range[1],
            spec.recipe.batch,
            spec.weight_decay,
            spec.prox,
        ),
        clip=spec.clip,
        least_epochs=spec.epochs_range[0],
        privacy=privacy.parse(spec.privacy),
        device=join.device or "cpu",
        alter=alter,
        augment=spec.augment,
    )
