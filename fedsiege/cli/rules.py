"""``fedsiege rules``: list the aggregation rules and the pre-aggregators."""

from typing import Annotated

import typer
from rich.console import Console

from fedsiege.cli.catalogue import print_catalogue, print_component
from fedsiege.cli.command import single
from fedsiege.cli.files import Plugins


def rules(
    name: Annotated[str | None, typer.Argument(help="Explain this rule or pre-aggregator.")] = None,
    plugin: Plugins = None,
) -> None:
    """List the aggregation rules, what may stand in front of them, and their parameters."""
    from fedsiege.rules import pre, registry

    if name is not None:
        print_component(name, registry, pre.registry)
        return
    print_catalogue(registry)
    Console().print("\nIn front of a rule, one or several, as in nnm/krum:\n")
    print_catalogue(pre.registry)


app = single(rules)
