"""A specification on the screen, as rows of a name and a text: ``sim`` and ``show`` print the same.

Sentences hold the settings that every experiment needs. Each other setting has a row of its own
where it differs from its default, so that a new setting appears without a change here.
"""

from collections.abc import Iterator

from fedsiege.experiment.knowledge import Knowledge
from fedsiege.experiment.spec import ExperimentSpec


def spec_rows(
    spec: ExperimentSpec, knowledge: Knowledge | None, initial_weights: str = ""
) -> dict[str, str]:
    """Return the texts by name, none of them empty.

    Args:
        spec: the experiment, best a resolved one.
        knowledge: what its attack is handed; None without an attack.
        initial_weights: where they came from; empty if only ``spec`` tells.
    """
    shown: set[str] = set()
    rows = {}
    for name, settings, text in _sentences(spec, knowledge, initial_weights):
        rows[name] = text
        shown.update(settings.split())
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        if name not in shown and value != field.default:
            rows[name.replace("_", " ")] = str(value)
    return {name: text for name, text in rows.items() if text}


def _sentences(
    spec: ExperimentSpec, knowledge: Knowledge | None, initial_weights: str
) -> Iterator[tuple[str, str, str]]:
    """Yield a name, the settings that the text holds, and the text, which may be empty."""
    participants = f"{spec.clients}, {spec.hostile} of them hostile"
    if not spec.clients:
        participants = f"as many as join, a share of {spec.attack:g} of them hostile"
    attacked = spec.hostile if spec.clients else spec.attack
    updates = "all" if spec.threshold is None else spec.threshold
    latest = "" if spec.deadline is None else f" or after {spec.deadline:g} s"
    recipe = spec.recipe
    steps = f"SGD, lr {recipe.lr:g}, momentum {spec.momentum:g}"
    if spec.optimizer == "adam":
        steps = f"Adam, lr {recipe.lr:g}"
    samples = f"{spec.samples} samples each" if spec.samples else "all samples shared out"
    weights = initial_weights or _initial_weights(spec)
    yield "experiment", "name", spec.name
    yield "participants", "clients attack", participants
    # The text of a resolved attack holds its scale.
    yield "attack", "attack_name scale", spec.attack_name if attacked else "none"
    yield "knowledge", "", str(knowledge or "")
    yield "audit", "audit", spec.audit
    yield "rule", "rule", spec.rule
    closed = f"{spec.rounds}, each closed by {updates} updates{latest}"
    yield "rounds", "rounds threshold deadline", closed
    yield "model", "model init", f"{spec.model}, initial weights: {weights}"
    yield "data", "dataset partition samples", f"{spec.dataset}, {spec.partition}, {samples}"
    training = f"{steps}, {recipe.epochs} epochs, batch {recipe.batch}, trainer {spec.trainer}"
    yield "training", "optimizer lr momentum epochs batch trainer", training
    yield "seed", "seed device", f"{spec.seed}, device {spec.device}"


def _initial_weights(spec: ExperimentSpec) -> str:
    """Return which weights a run begins with: what is taken, not only what was asked for."""
    if spec.init is not None or spec.dataset == "auto":
        return spec.init or "pretrained where a checkpoint ships"
    from fedsiege import models  # brings torch

    if models.checkpoint_path(spec.model, spec.dataset) is not None:
        return "pretrained"
    return f"random, no checkpoint ships for {spec.dataset}"
