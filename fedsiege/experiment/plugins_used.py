"""Which plug-ins an experiment uses."""

from collections.abc import Iterator
from typing import Any

from fedsiege import grammar
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.plugins import Plugin
from fedsiege.registry import Registry


def plugins_used(spec: ExperimentSpec) -> dict[Plugin, tuple[str, ...]]:
    """Return the plug-ins whose components a resolved specification names.

    Returns:
        The components of each, as a kind and a name: ``{hush.py: ("rule half", "model mlp")}``.
    """
    found: dict[Plugin, tuple[str, ...]] = {}
    for noun, plugin, name in _components(spec):
        if plugin is not None:
            found[plugin] = (*found.get(plugin, ()), f"{noun} {name}")
    return found


def _components(spec: ExperimentSpec) -> Iterator[tuple[str, Plugin | None, str]]:
    """Yield the kind, the plug-in and the name of each component of a specification."""
    from fedsiege import attacks, datasets, detectors, models, rules
    from fedsiege.rules import pre

    *before, last = grammar.chain(spec.rule)
    chosen: list[tuple[Registry[Any], str]] = [(pre.registry, step) for step in before]
    chosen.append((rules.registry, last))
    if spec.attack:
        chosen.append((attacks.registry, spec.attack_name))
    if spec.audit:
        chosen += [(detectors.registry, step) for step in grammar.chain(spec.audit)]
    chosen += [(models.registry, spec.model), (datasets.registry, spec.dataset)]
    for registry, text in chosen:
        name, _ = grammar.component(text)
        yield registry.noun, registry.origin(name), name
