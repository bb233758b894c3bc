"""``fedsiege detectors``: list the detectors of an audit and the terms of quarantine."""

from typing import Annotated

import typer

from fedsiege.cli.catalogue import print_catalogue, print_component
from fedsiege.cli.command import single
from fedsiege.cli.files import Plugins


def detectors(
    name: Annotated[str | None, typer.Argument(help="Explain this detector.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the detectors of an audit, the terms for those they flag, and their parameters."""
    from fedsiege.detectors import quarantine, registry

    if name is not None:
        print_component(name, registry, quarantine.registry)
        return
    print_catalogue(registry, quarantine.registry)


app = single(detectors)
