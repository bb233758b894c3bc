"""``fedsiege attacks``: list the attacks."""

from typing import Annotated

import typer
from rich.console import Console

from fedsiege.cli.catalogue import print_catalogue, print_component
from fedsiege.cli.command import single
from fedsiege.cli.files import Plugins


def attacks(
    name: Annotated[str | None, typer.Argument(help="Explain this attack.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the attacks, what each may know, and their parameters."""
    from fedsiege.attacks import Knowledge, registry

    if name is not None:
        print_component(name, registry)
        return
    print_catalogue(registry, knows=lambda attack: attack().knows.name.lower())
    Console().print("\nWhat they know, unless told otherwise by knowledge=LEVEL:")
    for level in Knowledge:
        Console().print(f"  {level.name.lower()}: {level.value}")


app = single(attacks)
