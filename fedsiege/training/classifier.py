"""The training of base models: SGD on the whole training set, as for the shipped checkpoints.

The same seed gives the same file on one machine. On another processor sums may be rounded
differently, and the accuracy may differ by some tenths of a per cent.
"""

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from fedsiege import models, seeding
from fedsiege.datasets import Dataset
from fedsiege.errors import InvalidValue
from fedsiege.training.base import batch_sizes
from fedsiege.training.evaluation import Evaluator, Score
from fedsiege.training.loop import least_batch

#: Called after each epoch with its number, from 1, the number of epochs, and the mean loss in nats.
Progress = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of the training of a base model.

    Attributes:
        epochs: passes over the training set, 1 or more.
        learning_rate: above 0, finite.
        momentum: 0 or more, below 1.
        batch_size: samples per step, 1 or more.
    """

    epochs: int
    learning_rate: float
    momentum: float
    batch_size: int

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InvalidValue("epochs", self.epochs, "1 or more")
        if not 0 < self.learning_rate < float("inf"):
            raise InvalidValue("lr", self.learning_rate, "above 0 and finite")
        if not 0 <= self.momentum < 1:
            raise InvalidValue("momentum", self.momentum, "0 or more and below 1")
        if self.batch_size < 1:
            raise InvalidValue("batch", self.batch_size, "1 or more")


@dataclass(frozen=True)
class Trained:
    """A trained base model.

    Attributes:
        seed: the seed of its initial weights and sample order.
        weights: ``(d,)`` float32.
        score: its score on the test part.
    """

    seed: int
    weights: Tensor
    score: Score


#: The seed project's epochs and momentum. Its batches of 4 at 0.001 mean 75,000 steps, a minute on
#: one thread; batches of 32 take 9 s and at 0.004 end where it ended: net at 93 % on MNIST.
_RECIPE = Recipe(epochs=5, learning_rate=0.004, momentum=0.9, batch_size=32)
#: 1,442 images make 46 steps an epoch, so it takes more of them: 3,680 steps, 3 s, 94 to 98 %. At
#: 0.01 one seed in forty diverged early and its ReLUs died.
_RECIPES = {"digits": Recipe(epochs=80, learning_rate=0.005, momentum=0.9, batch_size=32)}

_MOST_SEEDS = 99
_DRAWS = 20
_SPREAD = 1e-3


def recipe_for(
    dataset: str,
    *,
    epochs: int | None = None,
    learning_rate: float | None = None,
    momentum: float | None = None,
    batch_size: int | None = None,
) -> Recipe:
    """Return the default recipe for a data set, with the given values in place of the defaults.

    Raises:
        InvalidValue: a value is out of its range.
    """
    given = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "batch_size": batch_size,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    return replace(_RECIPES.get(dataset, _RECIPE), **changes)  # type: ignore[arg-type]


def train_classifier(
    model: str,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float,
    momentum: float,
    batch_size: int,
    seed: int,
    on_progress: Progress | None = None,
) -> tuple[Tensor, Score]:
    """Train a model from random weights and test it.

    SGD with momentum on the mean cross entropy, step for step ``torch.optim.SGD``; the samples are
    shuffled anew for each epoch. Runs on one thread, so that the result does not depend on the
    number of cores; steps this small gain nothing from a second one.

    Args:
        model: the model.
        dataset: trained on its training part, tested on its test part.
        epochs: see ``Recipe``.
        learning_rate: see ``Recipe``.
        momentum: see ``Recipe``.
        batch_size: see ``Recipe``.
        seed: the initial weights and the order of the samples come from it.
        on_progress: called after each epoch.

    Returns:
        The weights, ``(d,)`` float32, and their score on the test part.

    Raises:
        InvalidValue: unknown model, a value out of its range, or a learning rate so large that the
            training diverged.
    """
    recipe = Recipe(epochs, learning_rate, momentum, batch_size)
    with _one_thread():
        of = models.Classifier(model, dataset.inputs)
        evaluator = Evaluator(
            of, dataset.test_samples, dataset.test_labels, preparation=dataset.preparation
        )
        with seeding.torch_seeded(seeding.torch_seed(seed, "classifier")):  # for dropout
            weights = _train(model, dataset, recipe, seed, on_progress)
        return weights, evaluator(weights)


def make_checkpoint(
    model: str,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    out: Path,
    on_progress: Progress | None = None,
    *,
    seeds: int = 1,
    on_trained: Callable[[int, Score], None] | None = None,
    source: str = "",
) -> Trained:
    """Train a model, test it, and write it to a file together with the command that repeats it.

    With several seeds one model is trained per seed, and the one of median accuracy on the test
    part is written. The choice depends on clean accuracy alone, never on an outcome under attack.

    Args:
        model: the name of the model.
        dataset: the data set.
        recipe: the hyperparameters; see ``recipe_for``.
        seed: the initial weights and the order of the samples come from it.
        out: the safetensors file; its folder is created if it does not exist.
        on_progress: called after each epoch of each training.
        seeds: the number of seeds to train, starting with ``seed``; an odd number from 1 to 99.
        on_trained: called after each training, with its seed and its score.
        source: the data set as text, for the command; empty for its name.

    Returns:
        The written model.

    Raises:
        InvalidValue: as for ``train_classifier``, ``seeds`` is even or out of its range, or ``out``
            cannot be written.
    """
    if not 1 <= seeds <= _MOST_SEEDS or seeds % 2 == 0:
        allowed = f"an odd number from 1 to {_MOST_SEEDS}, so that one of them is the median"
        raise InvalidValue("seeds", seeds, allowed)
    of = models.Classifier(model, dataset.inputs)
    models.size(of)  # an unknown model is refused before a folder is made
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidValue("out", str(out), f"a file that can be written ({error})") from None
    if out.is_dir():
        raise InvalidValue("out", str(out), "a file, and this is a folder")
    trained = []
    for each in range(seed, seed + seeds):
        weights, score = train_classifier(
            model, dataset, **asdict(recipe), seed=each, on_progress=on_progress
        )
        trained.append(Trained(each, weights, score))
        if on_trained is not None:
            on_trained(each, score)
    chosen = median_of(trained)
    settings = {
        "model": model,
        "dataset": source or dataset.name,
        "seed": str(seed),
        **({"seeds": str(seeds)} if seeds > 1 else {}),
        "epochs": str(recipe.epochs),
        "lr": str(recipe.learning_rate),
        "momentum": str(recipe.momentum),
        "batch": str(recipe.batch_size),
    }
    options = " ".join(f"--{key} {value}" for key, value in settings.items())
    metadata = settings | {
        "command": f"fedsiege classifier {options}",
        "seed": str(chosen.seed),
        "accuracy": f"{chosen.score.accuracy:.4f}",
        "fedsiege": importlib.metadata.version("fedsiege"),
        "torch": torch.__version__,
    }
    if seeds > 1:
        metadata |= {
            "rule": "the seed of median accuracy on the test part, ties by seed",
            "accuracies": ", ".join(f"{one.seed}: {one.score.accuracy:.4f}" for one in trained),
        }
    models.write_checkpoint(out, of, chosen.weights, metadata)
    return chosen


def median_of(trained: Sequence[Trained]) -> Trained:
    """Return the model of median accuracy among an odd number of them; ties are broken by seed."""
    return sorted(trained, key=lambda one: (one.score.accuracy, one.seed))[len(trained) // 2]


def _train(
    model: str, dataset: Dataset, recipe: Recipe, seed: int, on_progress: Progress | None
) -> Tensor:
    """Return the trained weights.

    The parameters of the module and their gradients are views of two flat vectors, so that a step
    is two operations on vectors instead of two per parameter.
    """
    of = models.Classifier(model, dataset.inputs)
    module = of.create()
    weights = _initial_weights(of, module, dataset, seed)[: models.trained(of)]
    gradient = torch.zeros_like(weights)
    velocity = torch.zeros_like(weights)
    _bind(module, weights, gradient)
    count = len(dataset.train_labels)
    least = least_batch(module, dataset.tensor(dataset.train_samples[:1]))
    if recipe.batch_size < least:
        allowed = f"{least} or more with the batch normalisation of {model}"
        raise InvalidValue("batch", recipe.batch_size, allowed)
    ends = np.cumsum(batch_sizes(count, recipe.batch_size, least))[:-1]
    for epoch in range(1, recipe.epochs + 1):
        order = seeding.generator(seed, "classifier order", epoch).permutation(count)
        total = torch.zeros((), dtype=torch.float64)
        for batch in np.split(order, ends):
            images = dataset.tensor(dataset.train_samples[batch])
            labels = torch.from_numpy(dataset.train_labels[batch])
            loss = F.cross_entropy(module(images), labels)
            gradient.zero_()
            loss.backward()  # type: ignore[no-untyped-call]
            velocity.mul_(recipe.momentum).add_(gradient)
            weights.add_(velocity, alpha=-recipe.learning_rate)
            total += loss.detach() * len(batch)
        if not bool(weights.isfinite().all()):
            raise InvalidValue("lr", recipe.learning_rate, "smaller: the training diverged")
        if on_progress is not None:
            on_progress(epoch, recipe.epochs, float(total) / count)
    return models.flatten(module)


def _initial_weights(
    model: models.Classifier, module: nn.Module, dataset: Dataset, seed: int
) -> Tensor:
    """Return the first draw of initial weights whose logits depend on the image.

    In one draw of ``net`` in twenty, the ReLU behind its single filter is (almost) always 0. Such a
    model learns late or never: seed 0 stayed at 10 %. Over the first images its logits have a
    standard deviation below 0.001; those of other draws have about 0.01.
    """
    images = dataset.tensor(dataset.train_samples[:512])
    module.eval()  # without dropout, which would tell equal images apart
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.train()  # it has no running statistics yet
    for draw in range(1, _DRAWS + 1):
        purpose = "initial weights" if draw == 1 else f"initial weights, draw {draw}"
        weights = models.random_weights(model, seed, purpose)
        models.unflatten_into(module, weights)
        with torch.inference_mode():
            spread = float(module(images).std(dim=0, correction=0).max())
        if spread > _SPREAD:
            models.unflatten_into(module, weights)  # the trial has changed running statistics
            module.train()
            return weights
    raise InvalidValue(
        "dataset",
        dataset.name,
        f"in {_DRAWS} draws of initial weights {model} saw no difference between its images",
    )


def _bind(module: nn.Module, weights: Tensor, gradient: Tensor) -> None:
    """Make the parameters of a module and their gradients views of flat vectors ``(d,)``."""
    start = 0
    for parameter in module.parameters():
        end = start + parameter.numel()
        parameter.data = weights[start:end].view_as(parameter)
        parameter.grad = gradient[start:end].view_as(parameter)
        start = end


@contextmanager
def _one_thread() -> Iterator[None]:
    """Restrict torch to one thread within the context."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
