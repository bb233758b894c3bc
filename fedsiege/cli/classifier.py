"""``fedsiege classifier``: the base model that a run begins with, trained on the screen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedsiege.cli.command import single
from fedsiege.cli.files import Data, Plugins
from fedsiege.errors import InvalidValue

if TYPE_CHECKING:
    from fedsiege.training.evaluation import Score


def classifier(
    model: Annotated[str, typer.Option(help="Model, see fedsiege models.")] = "net",
    dataset: Annotated[
        str, typer.Option(help="Data set, see fedsiege datasets; or auto.")
    ] = "auto",
    data: Data = Path("data"),
    seed: Annotated[int, typer.Option(help="Seed of all random draws.", min=0)] = 0,
    seeds: Annotated[
        int,
        typer.Option(
            help="Seeds to train, SEED and the next; keeps the one of median accuracy.", min=1
        ),
    ] = 1,
    epochs: Annotated[
        int | None, typer.Option(help="Passes.", show_default="suits the data")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default="likewise")
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Momentum.", show_default="likewise")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Samples a step.", show_default="likewise")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint.", show_default="<model>-<dataset>.safetensors")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Train and test a base model, and write it as a checkpoint."""
    from fedsiege import datasets, models
    from fedsiege.cli.screen import Screen
    from fedsiege.training.classifier import make_checkpoint, recipe_for

    screen = Screen()
    if out is not None:
        _check_new(out)
    name = datasets.permit(dataset, data)
    if dataset == "auto":
        name, reason = datasets.resolve(dataset, data)
        screen.warn(reason)
    changes: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": lr,
        "momentum": momentum,
        "batch_size": batch,
    }
    recipe = recipe_for(name, **changes)
    path = out or Path(models.checkpoint_name(model, name))
    _check_new(path)
    several = f"seed {seed}" if seeds == 1 else f"seeds {seed} to {seed + seeds - 1}"
    screen.say(
        f"{model} on {name}: {recipe.epochs} epochs, lr {recipe.learning_rate:g}, momentum "
        f"{recipe.momentum:g}, batch {recipe.batch_size}, {several}"
    )

    def say(trained: int, score: "Score") -> None:
        screen.say(f"seed {trained}: accuracy {score.accuracy:.2%}")

    images = datasets.load(name, data)
    if seeds == 1:
        with screen.epochs(recipe.epochs) as show:
            made = make_checkpoint(model, images, recipe, seed, path, show, source=name)
    else:  # a line for each seed is enough
        made = make_checkpoint(
            model, images, recipe, seed, path, seeds=seeds, on_trained=say, source=name
        )
    if seeds > 1:
        screen.say(f"seed {made.seed} has the median accuracy of {seeds} seeds and is kept")
    screen.say(f"accuracy {made.score.accuracy:.2%}, loss {made.score.loss:.4f} on the test part")
    screen.say(f"Checkpoint: {path}")


def _check_new(path: Path) -> None:
    if path.exists():
        raise InvalidValue("OUT", str(path), "a new file; this one exists and is not overwritten")


app = single(classifier)
