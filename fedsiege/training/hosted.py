"""The training of the participants that one worker hosts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fedsiege import datasets, models, partitions, seeding
from fedsiege.errors import InvalidValue
from fedsiege.inputs import Domain
from fedsiege.privacy import Mechanism
from fedsiege.privacy.base import PURPOSE
from fedsiege.training.augmentation import Augmentation
from fedsiege.training.base import Samples, Shard, batch_order, batch_sizes
from fedsiege.training.choice import choose
from fedsiege.training.inputs import StoredInputs, VariedInputs
from fedsiege.training.loop import least_batch
from fedsiege.training.optimiser import LocalOptimiser

#: The inputs of participants that are kept ready, in bytes, all together: so many are made in the
#: time of a step, and with few samples for each, making them anew in each round would take as long.
_KEPT_READY = 8 * 2**20

#: Changes the samples of a participant, given by index, of a domain before it trains on them.
Alter = Callable[[Shard, int, Domain], Shard]


class LocalTraining:
    """Trains participants of an experiment, with the same result on every worker.

    Args:
        model: the name of the architecture.
        dataset: the name of the data set.
        data: the folder of the data sets.
        share: the partition, such as "dirichlet:0.5"; see fedsiege/partitions/.
        samples: the number of samples of each participant; 0 divides the whole data set.
        participants: the number of participants of the experiment, benign and hostile.
        seed: the seed of the run.
        optimiser: the optimiser of each step.
        clip: L2 norm C to which each update is clipped, ``g min(1, C / ||g||)``; 0 for none.
        least_epochs: the fewest epochs of a participant in a round; the most are the optimiser's.
            How many it makes is drawn for each round. None for the most.
        privacy: what a participant does to its update before it sends it; None for nothing.
        device: where to compute, "cpu" or "cuda".
        alter: changes a participant's samples before it trains on them; None for no change.
        augment: how pictures are varied in each epoch, see ``Augmentation.parse``.

    Raises:
        InvalidValue: an unknown name, a parameter out of its range, too few samples, or a batch of
            one that the model cannot be trained with.
        MissingData: the data set is missing.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        data: Path,
        share: str,
        samples: int,
        participants: int,
        seed: int,
        optimiser: LocalOptimiser,
        *,
        clip: float = 0.0,
        privacy: Mechanism | None = None,
        least_epochs: int | None = None,
        device: str = "cpu",
        alter: Alter | None = None,
        augment: str = "",
    ) -> None:
        if not 0 <= clip < float("inf"):
            raise InvalidValue("clip", clip, "a number above 0, or 0 for no clipping")
        self._data = datasets.load(dataset, data)
        self._shares = partitions.parse(share).assign(
            self._data.train_labels, participants, samples, seed, self._data.groups
        )
        self.classifier = models.Classifier(model, self._data.inputs)
        self._module = self.classifier.create().to(device)
        self._seed, self._optimiser, self._clip, self._device = seed, optimiser, clip, device
        self._alter, self._privacy = alter, privacy
        self._least = optimiser.epochs if least_epochs is None else least_epochs
        if not 1 <= self._least <= optimiser.epochs:
            raise InvalidValue("least_epochs", least_epochs, f"1 to {optimiser.epochs}")
        self._trained = models.trained(self.classifier)
        self._fewest = least_batch(
            self._module, self._data.tensor(self._data.train_samples[:1]).to(device)
        )
        if optimiser.batch_size < self._fewest:
            allowed = f"{self._fewest} or more with the batch normalisation of {model}"
            raise InvalidValue("batch_size", optimiser.batch_size, allowed)
        self._augmentation = Augmentation.parse(augment)
        if self._augmentation and not self._data.inputs.pictures:
            raise InvalidValue("augment", augment, f"empty: {dataset} has no pictures")
        self._shards: dict[int, Samples] = {}
        self._ready = 0

    def prepare(self, indices: Sequence[int], trainer: str = "auto") -> str:
        """Load the samples of participants and choose a trainer; return which one, and why."""
        self.load(indices)
        shards = [self._shards[index] for index in indices]
        self._trainer, reason = choose(self._module, self._optimiser, shards, trainer)
        return reason

    def load(self, indices: Sequence[int]) -> None:
        """Load the samples of participants that are not loaded yet."""
        for index in indices:
            if index in self._shards:
                continue
            self._shards[index] = self._load(index)

    def _load(self, index: int) -> Samples:
        """Return the samples of a participant: made if they are few or altered, else as stored."""
        rows, data = self._shares[index], self._data
        labels = torch.from_numpy(data.train_labels[rows]).long().to(self._device)
        stored = StoredInputs(data.train_samples, rows, data.tensor, self._device)
        size = stored.shape.numel() * stored.dtype.itemsize
        if self._alter is None and self._ready + size > _KEPT_READY:
            return Samples(stored, labels)
        shard = Shard(stored[:], labels)
        if self._alter is None:
            self._ready += size
            return shard
        altered = self._alter(Shard(shard.images.cpu(), labels.cpu()), index, data.domain)
        return Shard(altered.images.to(self._device), altered.labels.to(self._device))

    def _varied(self, index: int, round_number: int) -> Samples:
        """Return the samples of a participant as they are varied in a round."""
        plain, epochs = self._shards[index], self.epochs(index, round_number)
        if not self._augmentation or not len(plain):
            return plain
        moves, flips = self._augmentation.draw(
            self._seed, round_number, index, plain.images.shape, epochs
        )
        images = VariedInputs(plain.images, moves, flips, self._data.domain.black)
        return Samples(images, plain.labels.repeat(epochs), epochs)

    def samples(self, index: int) -> int:
        """Return the number of samples that a participant trains on."""
        return len(self._shards[index])

    def epochs(self, index: int, round_number: int) -> int:
        """Return the number of epochs that a participant makes in a round."""
        most = self._optimiser.epochs
        if self._least == most:
            return most
        random = seeding.generator(self._seed, "local epochs", round_number, index)
        return int(random.integers(self._least, most + 1))

    def steps(self, index: int, round_number: int) -> int:
        """Return the number of steps that a participant makes in a round."""
        sizes = batch_sizes(self.samples(index), self._optimiser.batch_size, self._fewest)
        return len(sizes) * self.epochs(index, round_number)

    def updates(
        self,
        round_number: int,
        weights: Tensor,
        indices: Sequence[int],
        factor: Tensor | None = None,
        *,
        protected: bool = True,
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Train participants from the global model, block by block; call ``prepare`` before.

        Args:
            round_number: 1 or more.
            weights: ``(d,)`` float32, the global model; not changed.
            indices: the participants to train, all of them loaded.
            factor: ``(d,)`` multiplied with each gradient, None for 1.
            protected: whether the updates are protected where the experiment has a mechanism.

        Yields:
            The indices of a block, in order, and their updates ``(k, d)`` float32 on the CPU.
        """
        shards = [self._varied(index, round_number) for index in indices]
        orders = [
            batch_order(
                self._seed, round_number, index, len(shard), self.epochs(index, round_number)
            )
            for index, shard in zip(indices, shards, strict=True)
        ]
        seeds = None
        if self._trainer.draws:
            seeds = [
                seeding.torch_seed(self._seed, "local training", round_number, index)
                for index in indices
            ]
        start = weights.to(self._device)
        for block, deltas in self._trainer.train(start, shards, orders, factor, seeds):
            rows = deltas.cpu()
            if self._clip:
                rows *= (self._clip / rows.norm(dim=1, keepdim=True)).clamp(max=1)
            if self._privacy is not None and protected:
                self._protect(self._privacy, rows, indices[block], round_number)
            yield indices[block], rows

    def _protect(
        self, mechanism: Mechanism, rows: Tensor, indices: Sequence[int], round_number: int
    ) -> None:
        """Protect updates ``(k, d)`` in place; buffers stay as they are."""
        for row, index in zip(rows[:, : self._trained], indices, strict=True):
            random = seeding.generator(self._seed, PURPOSE, round_number, index)
            row.copy_(mechanism.protect(row, random))
