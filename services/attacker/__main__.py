"""Start a worker with hostile participants: ``python -m fedsiege.services.attacker``."""

import argparse
from collections.abc import Sequence

from fedsiege.services.attacker.worker import AttackerWorker
from fedsiege.services.rpc import process
from fedsiege.services.worker import command
from fedsiege.services.worker.worker import HostedParticipants
from fedsiege.v1 import simulator_pb2 as pb


def make_participants(options: argparse.Namespace) -> HostedParticipants:
    """Return the participants of one experiment; torch is imported here, because it is slow."""
    with process.importing():
        from fedsiege.services.attacker.participants import HostileParticipants

    return HostileParticipants(options.data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the worker.

    Args:
        arguments: the command line; None for that of the process.
    """
    parser = argparse.ArgumentParser(prog="fedsiege.services.attacker", description=__doc__)
    command.main(pb.WORKER_KIND_ATTACKER, arguments, make_participants, parser, AttackerWorker)


if __name__ == "__main__":
    main()
