"""``fedsiege datasets``: list the data sets."""

from typing import Annotated

import typer

from fedsiege.cli.catalogue import print_catalogue, print_component
from fedsiege.cli.command import single
from fedsiege.cli.files import Plugins


def datasets(
    name: Annotated[str | None, typer.Argument(help="Explain this data set.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the data sets and their parameters."""
    from fedsiege.datasets import registry

    if name is not None:
        print_component(name, registry)
        return
    print_catalogue(registry)


app = single(datasets)
