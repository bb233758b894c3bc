"""``fedsiege classifier``: the base model that a run begins with, trained on the screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsiege import datasets
from fedsiege.cli.screen import Screen
from fedsiege.errors import InvalidValue
from fedsiege.training.classifier import make_checkpoint, recipe_for
from fedsiege.training.evaluation import Score


def run(
    model: str,
    dataset: str,
    data: Path,
    seed: int,
    seeds: int,
    changes: Mapping[str, Any],
    out: Path | None,
    screen: Screen,
) -> None:
    """Train, test and write a base model.

    Args:
        model: the architecture.
        dataset: its data set; "auto" takes MNIST if it can be had, else digits.
        data: the folder of the data sets.
        seed: of all random draws.
        seeds: how many to train, ``seed`` and the following; the one of median accuracy is kept.
        changes: what to change in the recipe that suits the data set; None changes nothing.
        out: the checkpoint; None for one named after model and data set, here.
        screen: where to show it.

    Raises:
        FedSiegeError: it is not possible; nothing was written.
    """
    if out is not None:
        _check_new(out)
    name = dataset
    if dataset == "auto":
        name, reason = datasets.resolve(dataset, data)
        screen.warn(reason)
    recipe = recipe_for(name, **changes)
    path = out or Path(f"{model}-{name}.safetensors")
    _check_new(path)
    several = f"seed {seed}" if seeds == 1 else f"seeds {seed} to {seed + seeds - 1}"
    screen.say(
        f"{model} on {name}: {recipe.epochs} epochs, lr {recipe.learning_rate:g}, momentum "
        f"{recipe.momentum:g}, batch {recipe.batch_size}, {several}"
    )

    def say(trained: int, score: Score) -> None:
        screen.say(f"seed {trained}: accuracy {score.accuracy:.2%}")

    images = datasets.load(name, data)
    if seeds == 1:
        with screen.epochs(recipe.epochs) as show:
            made = make_checkpoint(model, images, recipe, seed, path, show)
    else:  # a line for each seed is enough
        made = make_checkpoint(model, images, recipe, seed, path, seeds=seeds, on_trained=say)
    if seeds > 1:
        screen.say(f"seed {made.seed} has the median accuracy of {seeds} seeds and is kept")
    screen.say(f"accuracy {made.score.accuracy:.2%}, loss {made.score.loss:.4f} on the test part")
    screen.say(f"Checkpoint: {path}")


def _check_new(path: Path) -> None:
    if path.exists():
        raise InvalidValue("OUT", str(path), "a new file; this one exists and is not overwritten")
