"""Start a worker with benign participants: ``python -m fedsiege.services.client``."""

import argparse
from collections.abc import Sequence

from fedsiege.services.rpc import process
from fedsiege.services.worker import command
from fedsiege.services.worker.worker import HostedParticipants
from fedsiege.v1 import simulator_pb2 as pb


def make_participants(options: argparse.Namespace) -> HostedParticipants:
    """Return the participants of one experiment; torch is imported here, because it is slow."""
    with process.importing():
        from fedsiege.services.client.participants import BenignParticipants

    return BenignParticipants(options.data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the worker.

    Args:
        arguments: the command line; None for that of the process.
    """
    parser = argparse.ArgumentParser(prog="fedsiege.services.client", description=__doc__)
    command.main(pb.WORKER_KIND_CLIENT, arguments, make_participants, parser)


if __name__ == "__main__":
    main()
