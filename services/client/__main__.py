"""Start a worker with benign participants: ``python -m services.client --participants 50``."""

import argparse
from collections.abc import Sequence

from fedsiege.v1 import simulator_pb2 as pb
from services.rpc import process
from services.worker import command
from services.worker.worker import HostedParticipants


def make_participants(options: argparse.Namespace) -> HostedParticipants:
    """Return the participants of one experiment; torch is imported here, because it is slow."""
    with process.importing():
        from services.client.participants import BenignParticipants

    return BenignParticipants(options.data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the worker.

    Args:
        arguments: the command line; None for that of the process.
    """
    parser = argparse.ArgumentParser(prog="services.client", description=__doc__)
    command.main(pb.WORKER_KIND_CLIENT, arguments, make_participants, parser)


if __name__ == "__main__":
    main()
