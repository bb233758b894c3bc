"""Lists of what is chosen by name: a line for each, with its parameters and what it is."""

from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from fedsiege.cli.docstring import as_paragraphs


def print_catalogue(*registries: Any, **more: Callable[[Any], str]) -> None:  # of anything
    """Print the components of registries: name, parameters with their defaults, summary.

    Where a row of all columns is wider than the window, the parameters stand below the summary, and
    what a rule or detector needs besides the updates stands below these.
    Plug-ins that cannot be used are printed below the table, each with its reason.

    Args:
        registries: what to list.
        more: further columns: a heading, and what gives a component's text.
    """
    console = Console()
    table, narrow = Table(box=None, padding=(0, 2)), Table(box=None, padding=(0, 2, 0, 0))
    components = [(registry, one) for registry in registries for one in registry]
    needs = [_needs(one) for _, one in components]
    origins = [str(registry.origin(one.name) or "") for registry, one in components]
    headings = ["name", *more]
    if any(origins):
        headings.append("from")
    for heading in (*headings, "parameters", *(["needs"] if any(needs) else []), "what it is"):
        table.add_column(heading, overflow="fold")
    for heading in (*headings, "what it is, and its parameters"):
        narrow.add_column(heading, overflow="fold")
    for (registry, component), origin, needed in zip(components, origins, needs, strict=True):
        parameters = registry.parameters(component.name)
        spelled = ", ".join(f"{one.name}={one.default}" for one in parameters)
        texts = [Text(column(component)) for column in more.values()]
        if any(origins):
            texts.append(Text(origin))
        name, summary = Text(component.name, style="bold"), Text(component.summary)
        wide = [Text(spelled), *([Text(needed)] if any(needs) else [])]
        table.add_row(name, *texts, *wide, summary)
        below = [Text(spelled, style="dim")] if spelled else []
        below += [Text(f"needs {needed}", style="dim")] if needed else []
        narrow.add_row(name, *texts, Group(summary, *below))
    unbroken = console.measure(table, options=console.options.update(width=1000)).maximum
    console.print(table if unbroken <= console.width else narrow)
    for registry in registries:
        for name, plugin, reason in registry.problems():
            said = f"The {registry.noun} {name} of the plug-in {plugin} cannot be used: {reason}"
            console.print(Text(said, style="yellow"))


def _needs(component: Any) -> str:
    """Return what a rule or detector needs besides the updates; nothing for other components."""
    from fedsiege.rules.context import needs_of

    return needs_of(component) if hasattr(component, "needs") else ""


def print_component(name: str, *registries: Any) -> None:  # of anything
    """Print what a component is and each of its parameters: default, allowed values, meaning.

    Args:
        name: of the component.
        registries: where to look for it.

    Raises:
        InvalidValue: none of them has it; the text says which names the first one has.
    """
    from fedsiege.rules.context import FACTS

    registry = next((one for one in registries if name in one.names()), registries[0])
    console, component = Console(), registry.get(name)
    console.print(Text(name, style="bold"), Text(component.summary), sep=": ")
    if origin := registry.origin(name):
        console.print(Text(f"from the plug-in {origin}"))
    table = Table(box=None, padding=(0, 2))
    for heading in ("parameter", "default", "allowed", "what it means"):
        table.add_column(heading, overflow="fold")
    for one in registry.parameters(name):
        table.add_row(*map(Text, (one.name, one.default, one.allowed, one.description)))
    if table.row_count:
        console.print(table)
    for need in getattr(component, "needs", ()):
        console.print(Text(f"It needs to know the round's {need}: {FACTS[need].meaning}."))
    for parameter, need in getattr(component, "needs_if", {}).items():
        said = f"With {parameter}=true it needs to know the round's {need}: {FACTS[need].meaning}."
        console.print(Text(said))
    console.print(Text(f"\n{as_paragraphs(component, console.width)}"))
