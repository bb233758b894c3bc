"""Starts a worker of hostile participants: ``python -m services.attacker``."""

import argparse
from collections.abc import Sequence

from fedsiege.v1 import simulator_pb2 as pb
from services.attacker.worker import Intruder
from services.rpc import process
from services.worker import command
from services.worker.worker import HostedParticipants


def make_participants(options: argparse.Namespace) -> HostedParticipants:
    """Make the participants of one experiment; torch is imported only now that it is needed."""
    with process.importing():
        from services.attacker.participants import HostileParticipants

    return HostileParticipants(options.data)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and work."""
    parser = argparse.ArgumentParser(prog="services.attacker", description=__doc__)
    command.main(pb.WORKER_KIND_ATTACKER, arguments, make_participants, parser, Intruder)


if __name__ == "__main__":
    main()
