"""``fedsiege attacks``: list the attacks."""

from rich.console import Console

from fedsiege.cli.catalogue import print_catalogue
from fedsiege.cli.command import single


def attacks() -> None:
    """List the attacks, what each may know, and their parameters."""
    from fedsiege.attacks import Knowledge, registry

    print_catalogue(registry, knows=lambda attack: attack().knows.name.lower())
    Console().print("\nWhat they know, unless told otherwise by knowledge=LEVEL:")
    for level in Knowledge:
        Console().print(f"  {level.name.lower()}: {level.value}")


app = single(attacks)
