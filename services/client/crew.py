"""Benign participants: they train on their own samples, together where that is faster."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from fedsiege import datasets, models, partition
from fedsiege.training import LocalSGD, Shard, batch_order, choose
from fedsiege.v1 import simulator_pb2 as pb
from services.wire.submitting import Update
from services.wire.tensors import Floats
from services.wire.worker import Crew


class BenignCrew(Crew):
    """The benign participants of one worker.

    Args:
        data: the folder of the data sets.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._shards: dict[int, Shard] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """How many parameters the model has."""
        return self._size

    def prepare(self, join: pb.Join) -> str:
        """Load the data set, take each participant's samples, choose how to train."""
        torch.set_num_threads(1)
        task = join.training
        sgd = LocalSGD(task.learning_rate, task.momentum, task.epochs, task.batch_size)
        data = datasets.load(join.dataset, self._data)
        shares = partition.create(task.partition).assign(
            data.train_labels, join.num_participants, task.samples, join.seed
        )
        self._seed, self._sgd, self._device = join.seed, sgd, join.device or "cpu"
        for index in join.participant_indices:
            images = datasets.to_tensor(data.train_images[shares[index]])
            labels = torch.from_numpy(data.train_labels[shares[index]]).long()
            self._shards[index] = Shard(images.to(self._device), labels.to(self._device))
        self._size = models.size(join.model)
        self._trainer, reason = choose(
            models.create(join.model).to(self._device),
            sgd,
            list(self._shards.values()),
            task.trainer or "auto",
        )
        return reason

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Train the participants from the global model."""
        sgd, trainer = self._sgd, self._trainer
        shards = [self._shards[index] for index in indices]
        counts = [len(shard.labels) for shard in shards]
        orders = [
            batch_order(self._seed, round_number, index, count, sgd.epochs)
            for index, count in zip(indices, counts, strict=True)
        ]
        start = torch.from_numpy(weights).to(self._device)
        for block, deltas in trainer.train(start, shards, orders):
            rows = deltas.cpu().numpy()
            places = range(block.start, block.stop)
            yield [
                Update(
                    indices[place],
                    row,
                    counts[place],
                    sgd.epochs * -(-counts[place] // sgd.batch_size),
                )
                for place, row in zip(places, rows, strict=True)
            ]
