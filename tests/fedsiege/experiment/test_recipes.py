"""Recipes: what is unset is filled in, what is set stays, committed grids keep their meaning."""

from pathlib import Path

from fedsiege import models
from fedsiege.experiment.recipes import ADAM_LR, MODELS, Recipe
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.grids.grid import Grid

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
#: Of the grids of before there were recipes: learning rate, batch and epochs of all their cells.
ORIGINAL, LADDER = Recipe(0.001, 4, 2), Recipe(0.1, 10, 2)
BEFORE = {
    "admission": {ORIGINAL},
    "arsenal": {LADDER},
    "audit": {LADDER},
    "ladder": {LADDER},
    "sentinel": {LADDER},
    "sentinel-ablation": {LADDER},
    "sentinel-adaptive": {LADDER, Recipe(0.02, 10, 2), Recipe(0.002, 10, 2)},
}


def test_committed_grids_keep_their_training() -> None:
    for name, recipes in BEFORE.items():
        grid = Grid.from_yaml((EXPERIMENTS / f"{name}.yaml").read_text())
        assert {cell.spec.recipe for cell in grid} == recipes, name


def test_what_is_unset_is_filled_in_and_shown() -> None:
    resolved = resolve(ExperimentSpec(model="cnn", batch=16))
    recipe = MODELS["cnn"]
    assert (resolved.spec.lr, resolved.spec.batch, resolved.spec.epochs) == (recipe.lr, 16, 5)
    (note,) = (one for one in resolved.notes if "recipe" in one)
    assert note == "lr 0.05, epochs 5: the recipe of MODEL=cnn on DATASET=auto"
    assert not any("recipe" in one for one in resolve(resolved.spec).notes), "nothing is left open"


def test_the_scenario_of_the_defaults_stays_and_needs_no_words() -> None:
    resolved = resolve(ExperimentSpec())
    assert resolved.spec.recipe == ORIGINAL
    assert not any("recipe" in one for one in resolved.notes)


def test_adam_has_a_learning_rate_of_its_own() -> None:
    assert ExperimentSpec.of({"model": "cnn", "optimizer": "adam"}).recipe.lr == ADAM_LR


def test_every_model_has_a_recipe() -> None:
    own = {name for name in models.names() if models.registry.origin(name) is None}
    assert set(MODELS) == own
