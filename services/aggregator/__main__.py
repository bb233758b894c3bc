"""Start an aggregator: ``python -m fedsiege.services.aggregator --address 0.0.0.0:50051``."""

import argparse
import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedsiege import plugins
from fedsiege.errors import FedSiegeError
from fedsiege.experiment import environment
from fedsiege.services.rpc import process
from fedsiege.services.rpc.guard import Guard, Limits
from fedsiege.services.rpc.server import serving

if TYPE_CHECKING:
    from fedsiege.services.aggregator.admission import Admission

log = logging.getLogger("fedsiege.services.aggregator")

SERVICE_NAME = "fedsiege.v1.AggregatorService"
ADMISSIONS = ("open", "token", "mtls")


async def serve(options: argparse.Namespace, limits: Limits, ready: Callable[[int], None]) -> None:
    """Serve until cancelled.

    Args:
        options: the parsed command line.
        limits: the limits of one peer.
        ready: called with the port once the server answers calls.
    """
    # Imported late: torch takes a second to import, and --help needs none of it.
    import torch

    from fedsiege.services.aggregator.service import CONTROL, PARTICIPANT, AggregatorService
    from fedsiege.services.identity.tls import Tls
    from fedsiege.v1 import aggregator_pb2_grpc as rpc

    torch.set_num_threads(1)
    guard = Guard(limits, control=CONTROL, participant=PARTICIPANT)
    tls = Tls(options.certs) if options.certs else None
    admission = _admission(options.admission, options.tokens)
    service = AggregatorService(
        options.data, admission=admission, guard=guard, init_files=options.init_file
    )

    async with serving(
        options.address,
        lambda server: rpc.add_AggregatorServiceServicer_to_server(service, server),
        [SERVICE_NAME],
        tls=tls,
        guard=guard,
    ) as port:
        log.info("aggregator on port %d, admission %s", port, admission.name)
        ready(port)
        try:
            await asyncio.Event().wait()
        finally:
            await service.close()


def _admission(name: str, tokens: Path | None) -> "Admission":
    """Return the admission mode of a name; ``tokens`` is the ledger of the mode ``token``."""
    from fedsiege.services.aggregator.admission import ByCertificate, ByToken, Open
    from fedsiege.services.identity.ledger import Ledger

    if name == "token":
        assert tokens is not None
        return ByToken(Ledger(tokens))
    return ByCertificate() if name == "mtls" else Open()


def main(
    arguments: Sequence[str] | None = None, ready: Callable[[int], None] = lambda _: None
) -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="fedsiege.services.aggregator", description=__doc__)
    parser.add_argument("--address", default="0.0.0.0:50051", help="host:port to serve on")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument(
        "--admission", default=_from_environment("ADMISSION") or "open", help="open, token or mtls"
    )
    parser.add_argument(
        "--tokens",
        type=Path,
        default=_from_environment("TOKENS"),
        help="ledger of enrolment tokens",
    )
    parser.add_argument(
        "--certs",
        type=Path,
        default=_from_environment("CERTS"),
        help="certificate bundle; turns on TLS",
    )
    parser.add_argument(
        "--limits",
        default=_from_environment("LIMITS") or "",
        help="limits of one peer: streams=2000,bytes=512MiB,...",
    )
    parser.add_argument(
        "--init-file",
        type=Path,
        action="append",
        default=[],
        help="safetensors file that a federation may name as its initial weights; may be repeated; "
        "files in DATA/checkpoints are permitted without it",
    )
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    for file in options.init_file:
        if not file.is_file():
            parser.error(f"--init-file={file}: no such file")
    if len({file.name for file in options.init_file}) < len(options.init_file):
        parser.error("--init-file: two files have the same name; names must differ")
    # Not left to argparse, which does not check values from the environment.
    if options.admission not in ADMISSIONS:
        parser.error(f"--admission={options.admission}: must be one of {', '.join(ADMISSIONS)}")
    if options.admission == "token" and options.tokens is None:
        parser.error("--admission=token needs --tokens LEDGER (`fedsiege tokens issue` makes one)")
    if options.admission == "mtls" and options.certs is None:
        parser.error("--admission=mtls needs --certs BUNDLE (`fedsiege certs` makes one)")
    process.tune_allocator()
    process.set_up_logging("aggregator", options.log_level)
    try:
        environment.check(os.environ)
        plugins.load_files()
        limits = Limits.parse(options.limits)
        process.run(lambda: serve(options, limits, ready))
    except FedSiegeError as error:
        parser.error(str(error))


def _from_environment(name: str) -> str | None:
    """Return the value of the variable ``FEDSIEGE_<name>``; None if it is unset or empty."""
    return os.environ.get(f"FEDSIEGE_{name}") or None


if __name__ == "__main__":
    main()
