"""The command line of a worker."""

import argparse
import os
import socket
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from fedsiege import plugins
from fedsiege.errors import InvalidValue
from fedsiege.experiment import environment
from fedsiege.services.identity.identity import claim_identity, load_identity
from fedsiege.services.rpc import process
from fedsiege.services.worker.worker import HostedParticipants, Worker
from fedsiege.v1 import simulator_pb2 as pb


def main(
    kind: pb.WorkerKind.ValueType,
    arguments: Sequence[str] | None,
    make_participants: Callable[[argparse.Namespace], HostedParticipants],
    parser: argparse.ArgumentParser,
    worker: type[Worker] = Worker,
) -> None:
    """Parse a worker's command line and run the worker until a signal stops it.

    Args:
        kind: the kind of its participants.
        arguments: the command line; None for that of the process.
        make_participants: creates the participants of an experiment from the parsed options.
        parser: the parser, with the options that only this kind of worker has.
        worker: the class of the worker.
    """
    role = pb.WorkerKind.Name(kind).removeprefix("WORKER_KIND_").lower()
    parser.add_argument("--simulator", default="localhost:50052", help="host:port")
    parser.add_argument("--aggregator", default="localhost:50051", help="host:port")
    parser.add_argument("--participants", type=int, default=1, help="participants that it can host")
    parser.add_argument("--name", help=f"[default: the certificate's name, or {role}-<host>]")
    parser.add_argument("--tokens", type=Path, help="file of enrolment tokens, one a line")
    parser.add_argument("--certs", type=Path, help="certificate bundle; turns on TLS")
    parser.add_argument(  # --place is its older name
        "--identities", "--place", type=Path, help="folder of identities, of which it claims one"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    if options.participants < 1:
        parser.error(f"--participants={options.participants}: must be at least 1")
    if options.identities and (options.name or options.tokens or options.certs):
        parser.error("--identities gives name, tokens and certificate: leave out the others")

    async def work() -> None:
        default = f"{role}-{socket.gethostname()}"
        identity = (
            await claim_identity(options.identities)
            if options.identities
            else load_identity(options.name, options.tokens, options.certs, default)
        )
        process.set_up_logging(identity.name, options.log_level)
        identity.check_covers(options.participants, warn_only=kind == pb.WORKER_KIND_ATTACKER)
        hello = pb.Hello(
            worker=identity.name,
            kind=kind,
            capacity=options.participants,
            version=version("fedsiege"),
        )
        addresses = options.simulator, options.aggregator
        await worker(hello, lambda: make_participants(options), *addresses, identity).run()

    process.tune_allocator()
    process.set_up_logging(role, options.log_level)
    try:
        environment.check(os.environ)
        plugins.load_files()
        process.run(work)
    except InvalidValue as error:
        parser.error(str(error))
