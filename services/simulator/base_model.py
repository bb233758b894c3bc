"""``fedsiege classifier``: the base model that a run begins with, trained on the screen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsiege import datasets
from fedsiege.classifier import make_checkpoint, recipe_for
from fedsiege.errors import InvalidValue
from services.simulator.screen import Screen


def run(
    model: str,
    dataset: str,
    data: Path,
    seed: int,
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
    screen.say(
        f"{model} on {name}: {recipe.epochs} epochs, lr {recipe.learning_rate:g}, momentum "
        f"{recipe.momentum:g}, batch {recipe.batch_size}, seed {seed}"
    )
    with screen.epochs(recipe.epochs) as show:
        score = make_checkpoint(model, datasets.load(name, data), recipe, seed, path, show)
    screen.say(f"accuracy {score.accuracy:.2%}, loss {score.loss:.4f} on the held-out part")
    screen.say(f"Checkpoint: {path}")


def _check_new(path: Path) -> None:
    if path.exists():
        raise InvalidValue("OUT", str(path), "a new file; this one exists and is not overwritten")
