"""``fedsiege models``: list the models."""

from typing import Annotated

import typer

from fedsiege.cli.catalogue import print_catalogue, print_component
from fedsiege.cli.command import single
from fedsiege.cli.files import Plugins


def models(
    name: Annotated[str | None, typer.Argument(help="Explain this model.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the models and their parameters."""
    from fedsiege.models import registry

    if name is not None:
        print_component(name, registry)
        return
    print_catalogue(registry)


app = single(models)
