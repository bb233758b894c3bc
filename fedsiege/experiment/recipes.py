"""Recipes: learning rate, batch and epochs that train a model, where the user sets none."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from fedsiege import grammar


@dataclass(frozen=True)
class Recipe:
    """How long and how fast participants train.

    Attributes:
        lr: learning rate, with SGD for a momentum of 0.9.
        batch: local batch size.
        epochs: local epochs a round, a number or a range such as "1-4".
    """

    lr: float
    batch: int
    epochs: int | str


#: The settings that a recipe is for.
RECIPE_SETTINGS = tuple(one.name for one in fields(Recipe))
#: Of models that are not in the table, such as those of plug-ins.
OTHERS = Recipe(lr=0.02, batch=16, epochs=2)
_SMALL = Recipe(lr=0.05, batch=8, epochs=5)
_RESIDUAL = Recipe(lr=0.05, batch=16, epochs=2)
#: By model. That of net is the original's: its checkpoint hardly needs more training.
MODELS: Mapping[str, Recipe] = {
    "net": Recipe(lr=0.001, batch=4, epochs=2),
    "lenet5": _SMALL,
    "cnn": _SMALL,
    "mlp": _SMALL,
    "resnet20": _RESIDUAL,
    "resnet18": _RESIDUAL,
    "vgg11": Recipe(lr=0.01, batch=16, epochs=2),
    "mobilenet-v2": Recipe(lr=0.01, batch=16, epochs=2),
    # LEAF's 0.8 for Shakespeare is without momentum, which multiplies it by 10.
    "char-lstm": Recipe(lr=0.08, batch=16, epochs=1),
}
#: By model and data set, where the data need others.
ON_DATA: Mapping[tuple[str, str], Recipe] = {}
#: Learning rate with Adam, whose steps do not depend on the size of the gradient.
ADAM_LR = 0.001


def recipe_of(model: str, dataset: str, optimizer: str) -> Recipe:
    """Return the recipe of a model on a data set.

    Args:
        model: the model as text, such as ``mlp:hidden=50``.
        dataset: the data set as text, or ``auto``.
        optimizer: ``sgd`` or ``adam``.
    """
    name, data = grammar.component(model)[0], grammar.component(dataset)[0]
    found = ON_DATA.get((name, data)) or MODELS.get(name, OTHERS)
    return found if optimizer == "sgd" else Recipe(ADAM_LR, found.batch, found.epochs)
