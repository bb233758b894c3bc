"""``fedsiege detectors``: list the detectors of an audit and the terms of quarantine."""

from fedsiege.cli.catalogue import print_catalogue
from fedsiege.cli.command import single


def detectors() -> None:
    """List the detectors of an audit, the terms for those they flag, and their parameters."""
    from fedsiege.detectors import quarantine, registry

    print_catalogue(registry, quarantine.registry)


app = single(detectors)
