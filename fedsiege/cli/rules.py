"""``fedsiege rules``: list the aggregation rules and the pre-aggregators."""

from rich.console import Console

from fedsiege.cli.catalogue import print_catalogue
from fedsiege.cli.command import single


def rules() -> None:
    """List the aggregation rules, what may stand in front of them, and their parameters."""
    from fedsiege.rules import pre, registry

    print_catalogue(registry)
    Console().print("\nIn front of a rule, one or several, as in nnm/krum:\n")
    print_catalogue(pre.registry)


app = single(rules)
