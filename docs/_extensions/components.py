"""A page for each rule, pre-aggregator, attack, detector, model and data set, from its class."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import evidence
from pages import table, write

from fedsiege import attacks, datasets, detectors, models, rules
from fedsiege.attacks import Knowledge
from fedsiege.errors import InvalidValue
from fedsiege.registry import parameters
from fedsiege.rules import pre
from fedsiege.rules.context import FACTS, needs_of


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    Attributes:
        folder: of its pages in ``docs/reference``, and the room of the library.
        registry: what there is.
        setting: which setting names one.
        chained: how it is written in that setting, ``{}`` being the component itself.
    """

    folder: str
    registry: Any
    setting: str
    chained: str = "{}"

    @property
    def own(self) -> list[Any]:
        """The components of FedSiege itself; plug-ins that are installed have no page here."""
        return [one for one in self.registry if one.__module__.startswith("fedsiege.")]


KINDS = (
    Kind("rules", rules.registry, "rule"),
    Kind("pre", pre.registry, "rule", "{}/trimmed-mean"),
    Kind("attacks", attacks.registry, "attack_name"),
    Kind("detectors", detectors.registry, "audit"),
    Kind("quarantine", detectors.quarantine.registry, "audit", "norm/{}"),
    Kind("models", models.registry, "model"),
    Kind("datasets", datasets.registry, "dataset"),
)

#: What more a command must say so that it can run: the subsets that smea compares are too many.
MORE = {
    "smea": " --clients=20",
    "npz": ":FILE",
    "folder": ":DIR",
    "csv": ":FILE,label=COLUMN",
}
#: Data sets that models are shown with, and models that data sets are: the first is the default.
DATA = ("digits", "cifar10", "breast-cancer", "shakespeare")
MODELS = ("net", "lenet5", "resnet20", "mlp", "char-lstm")


def write_components(_app: Any) -> None:
    """Write the page of each component, and for each kind the table that its index includes."""
    for kind in KINDS:
        for component in kind.own:
            write(f"{kind.folder}/{component.name}.md", page(kind, component))
        rows = [
            (f"[`{one.name}`](reference/{kind.folder}/{one.name}.md)", one.summary, knows(one))
            for one in kind.own
        ]
        second = {"attacks": "knows", "rules": "needs", "detectors": "needs"}.get(kind.folder)
        heading = ("name", "what it is", *([second] if second else []))
        listing = table(heading, [row[: len(heading)] for row in rows])
        tree = "\n".join(f"reference/{kind.folder}/{one.name}" for one in kind.own)
        write(
            f"_{kind.folder}.md",
            f"{listing}\n\n```{{toctree}}\n:hidden:\n\n{tree}\n```\n",
        )


def knows(component: Any) -> str:
    """Return what an attack knows, or what another component needs, in a few words."""
    if issubclass(component, attacks.Attack):
        return str(component().knows.name.lower())
    return needs_of(component) if hasattr(component, "needs") else ""


def page(kind: Kind, component: Any) -> str:
    """Return the page of a component."""
    name = component.name
    parts = [
        f"# {name}",
        f"{component.summary[0].upper()}{component.summary[1:]}.",
        f"```{{eval-rst}}\n.. autoclass:: {component.__module__}.{component.__qualname__}\n```",
        "## Use",
        _use(kind, component),
        "## Parameters",
        _parameters(component),
        *_needed(component),
    ]
    measured = {
        "rules": _of_rule,
        "pre": _of_rule,
        "attacks": _of_attack,
        "detectors": _of_detector,
    }.get(kind.folder)
    if measured and (text := measured(name)):
        parts += ["## Measured", *text]
    return "\n\n".join(parts) + "\n"


def _use(kind: Kind, component: Any) -> str:
    """Return how a component is written on the command line and in Python."""
    text = kind.chained.format(component.name)
    option = kind.setting.replace("_", "-")
    module = component.__module__
    return (
        f"```sh\nfedsiege sim --{option}={text}{_beside(kind, component)}\n```\n\n"
        f"```python\nfrom {module} import {component.__qualname__}\n\n"
        f"{component.__qualname__}()\n```"
    )


def _beside(kind: Kind, component: Any) -> str:
    """Return the options that a component needs beside its own, such as data for a model."""
    if component.name in MORE:
        return MORE[component.name]
    if kind.folder == "models":
        fitting = (name for name in DATA if _fits(component.name, name))
        chosen = next(fitting)
        return "" if chosen == DATA[0] else f" --dataset={chosen}"
    if kind.folder == "datasets":
        chosen = next(name for name in MODELS if _fits(name, component.name))
        return "" if chosen == MODELS[0] else f" --model={chosen}"
    return ""


def _fits(model: str, dataset: str) -> bool:
    """Return whether a model takes the samples of a data set."""
    inputs = datasets.inputs_of(dataset)
    if inputs is None:
        return True
    try:
        models.layout(models.Classifier(model, inputs))
    except InvalidValue:
        return False
    return True


def _parameters(component: Any) -> str:
    """Return the table of the parameters."""
    if not dataclasses.is_dataclass(component) or not parameters(component):
        return "None."
    rows = [
        (f"`{one.name}`", one.type, f"`{one.default}`", one.allowed, one.description)
        for one in parameters(component)
    ]
    return table(("parameter", "type", "default", "allowed", "meaning"), rows)


def _needed(component: Any) -> Iterable[str]:
    """Yield what a component needs, or knows, as a section."""
    if issubclass(component, attacks.Attack):
        levels = {"none": Knowledge.NONE, "partial": Knowledge.PARTIAL, "full": Knowledge.FULL}
        level = component().knows
        yield "## What it knows"
        name = next(key for key, one in levels.items() if one is level)
        more = "knowledge" in {one.name for one in parameters(component)}
        yield f"{name.capitalize()}: {level.value}." + (
            f" `{component.name}:knowledge=full` knows {Knowledge.FULL.value}." if more else ""
        )
    elif hasattr(component, "needs"):
        yield "## What it needs"
        needed = [f"- {FACTS[need].meaning} (`{need}`)" for need in component.needs]
        needed += [
            f"- with `{parameter}=true`, {FACTS[need].meaning} (`{need}`)"
            for parameter, need in getattr(component, "needs_if", {}).items()
        ]
        if needed:
            yield "Besides the updates:\n\n" + "\n".join(needed)
        else:
            yield "The updates, and nothing else."


def _links(text: str, *folders: str) -> str:
    """Return a setting with a link for each of its components, which are of some kinds."""
    parts = []
    for part, name in zip(text.split("/"), evidence.names_in(text), strict=True):
        folder = next(
            kind.folder
            for kind in KINDS
            if kind.folder in folders and name in kind.registry.names()
        )
        parts.append(f"[`{part}`](../{folder}/{name}.md)")
    return "/".join(parts)


def _of_rule(name: str) -> list[str]:
    """Return what a rule or pre-aggregator held and fell to, grid by grid."""
    found = [
        one
        for one in evidence.results()
        if name in evidence.names_in(one.rule) and not one.audit and one.grid != "audit"
    ]
    heading = ("attack", "as", "left %", "verdict")
    return _tables(
        found,
        heading,
        lambda one: (
            _links(one.attack, "attacks"),
            f"`{one.rule}`",
            one.shown,
            one.verdict,
        ),
        lambda one: f"`{one.rule}` {one.shown} %",
    )


def _of_attack(name: str) -> list[str]:
    """Return which rules and detectors held against an attack and which fell, grid by grid."""
    found = [one for one in evidence.results() if name in evidence.names_in(one.attack)]
    text = _tables(
        [one for one in found if one.grid != "audit"],
        ("rule", "attack", "left %", "verdict"),
        lambda one: (_links(one.rule, "rules", "pre"), f"`{one.attack}`", one.shown, one.verdict),
    )
    return text + _tables(
        [one for one in found if one.grid == "audit"],
        ("detectors", "attack", "left %", "verdict"),
        lambda one: (
            _links(one.audit, "detectors", "quarantine") if one.audit else "none",
            f"`{one.attack}`",
            one.shown,
            one.verdict,
        ),
    )


def _of_detector(name: str) -> list[str]:
    """Return what a detector found, alone in front of the mean."""
    found = [one for one in evidence.results() if evidence.names_in(one.audit) == [name]]
    return _tables(
        found,
        ("attack", "found %", "false %", "left %", "verdict"),
        lambda one: (
            _links(one.attack, "attacks"),
            *("" if rate is None else f"{100 * rate:.0f}" for rate in one.found[name]),
            one.shown,
            one.verdict,
        ),
        lambda one: f"{one.shown} %, false positives {100 * (one.found[name][1] or 0):.1f} %",
        "Found and false: the share of the hostile and of the benign updates that it flagged.",
    )


def _tables(
    found: list[evidence.Result],
    heading: tuple[str, ...],
    row: Any,
    without_attack: Any = None,
    more: str = "",
) -> list[str]:
    """Return for each grid what it is, and a table with the worst case first."""
    text = []
    for grid in evidence.GRIDS:
        here = [one for one in found if one.grid == grid]
        attacked = [one for one in here if one.attack]
        if not attacked:
            continue
        page = {"audit": "detectors.md"}.get(grid, "ladder.md")
        notes = [f"[{grid}](../../{page}): {evidence.federation(grid)}."]
        clean = sorted({without_attack(one) for one in here if not one.attack and without_attack})
        notes += [f"Without an attack: {', '.join(clean)}."] if clean else []
        text += [
            " ".join([*notes, more]).strip(),
            table(heading, (row(one) for one in sorted(attacked, key=lambda one: one.mean))),
        ]
    return [evidence.CRITERION, *text] if text else []


def plain_signature(
    _app: Any, what: str, _name: str, obj: Any, _options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Write a component's parameters without their annotations, which its table has."""
    if what == "class" and dataclasses.is_dataclass(obj) and hasattr(obj, "summary"):
        shown = ", ".join(f"{one.name}={one.default}" for one in parameters(obj))
        return f"({shown})", ""
    return None


def setup(app: Any) -> dict[str, bool]:
    """Connect to the build."""
    app.connect("builder-inited", write_components)
    app.connect("autodoc-process-signature", plain_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
