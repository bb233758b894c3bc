"""Benign participants: each trains on its own samples, in one batched computation if faster."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fedsiege import models
from fedsiege.services.rpc import settings
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.worker.submitting import Update
from fedsiege.services.worker.training import local_training
from fedsiege.services.worker.worker import HostedParticipants
from fedsiege.v1 import simulator_pb2 as pb


class BenignParticipants(HostedParticipants):
    """The benign participants of one worker.

    Args:
        data: the folder of the data sets.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._size = 0

    @property
    def size(self) -> int:
        """Number of parameters of the model; known after ``prepare``."""
        return self._size

    def prepare(self, join: pb.Join) -> str:
        """Load the data set, select each participant's samples, choose how to train.

        Args:
            join: the assignment.

        Returns:
            How the participants train, to be shown.

        Raises:
            FedSiegeError: the model, the data set or a setting cannot be used.
        """
        torch.set_num_threads(1)
        spec = settings.read(join.training.settings)
        self._training = local_training(join, spec, self._data)
        self._size = models.size(self._training.classifier)
        return self._training.prepare(join.participant_indices, spec.trainer)

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Train participants from the global model; yield their updates in blocks.

        Args:
            round_number: the round, from 1.
            weights: ``(d,)`` the global model; it is not changed.
            indices: the participants, ascending.
        """
        training = self._training
        for some, rows in training.updates(round_number, torch.from_numpy(weights), indices):
            yield [
                Update(index, row, training.samples(index), training.steps(index, round_number))
                for index, row in zip(some, rows.numpy(), strict=True)
            ]
