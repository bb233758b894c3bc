"""Start a simulator: ``python -m fedsiege.services.simulator --aggregator aggregator:50051``."""

import argparse
import asyncio
import difflib
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fedsiege import plugins
from fedsiege.errors import InvalidValue
from fedsiege.experiment import assignments, environment
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results.summary import round_line
from fedsiege.services.identity.tls import Tls
from fedsiege.services.rpc import process
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.guard import Guard, Limits
from fedsiege.services.rpc.history_rows import row_of
from fedsiege.services.rpc.server import serving
from fedsiege.services.simulator.experiment import Experiment
from fedsiege.services.simulator.service import (
    CONTROL,
    PARTICIPANT,
    SimulatorService,
    choose_dataset,
)
from fedsiege.v1 import simulator_pb2_grpc as rpc

log = logging.getLogger("fedsiege.services.simulator")

SERVICE_NAME = "fedsiege.v1.SimulatorService"


@asynccontextmanager
async def simulating(
    address: str,
    aggregator: str,
    data: Path,
    runs: Path,
    *,
    tls: Tls | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[tuple[SimulatorService, int]]:
    """Serve the control plane while the block runs.

    Args:
        address: ``host:port``; port 0 takes a free one.
        aggregator: the aggregator's ``host:port``.
        data: the folder of the data sets.
        runs: the folder in which results folders are created.
        tls: the simulator's certificate, as server and as client; None for connections without TLS.
        limits: the limits of one peer; None for the default.

    Yields:
        The service and its port.
    """
    guard = Guard(limits or Limits(), control=CONTROL, participant=PARTICIPANT)
    async with AsyncExitStack() as channels:
        service = SimulatorService(
            await channels.enter_async_context(connect(aggregator, tls)), data, runs
        )
        if tls is not None:
            renewing = asyncio.create_task(_renew(service, aggregator, tls, channels))
            channels.callback(renewing.cancel)
        async with serving(
            address,
            lambda server: rpc.add_SimulatorServiceServicer_to_server(service, server),
            [SERVICE_NAME],
            tls=tls,
            guard=guard,
        ) as port:
            try:
                yield service, port
            finally:
                await service.close()


async def _renew(
    service: SimulatorService, aggregator: str, tls: Tls, channels: AsyncExitStack
) -> None:
    """Open a new channel to the aggregator whenever the certificate is renewed.

    The older channels stay open for the experiments that use them.
    """
    version = tls.version
    while True:
        version = await tls.renewed(version)
        service.use_aggregator(await channels.enter_async_context(connect(aggregator, tls)))
        log.info("the certificate was renewed; experiments from now on use it")


def from_environment(variables: Mapping[str, str]) -> ExperimentSpec:
    """Parse an experiment from variables named as those of ``make sim``; empty ones are ignored.

    ``SETTINGS`` may hold several in one text, ``ATTACK=0.3 RULE=krum``, and takes precedence over
    the others. Without CLIENTS the number of participants is open.

    Raises:
        InvalidValue: a value is out of its range, or SETTINGS has an unknown setting.
    """
    names = ExperimentSpec.model_fields
    words = assignments.split(variables.get("SETTINGS", ""))
    return ExperimentSpec.of(
        {
            "clients": 0,
            **assignments.from_plain_variables(variables, names),
            **assignments.parse(words, names),
        }
    )


def unread(variables: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable that resembles a setting but has no effect.

    Variables without the prefix are reported only if their name is close to a setting's.
    """
    for name in environment.unread(variables):
        plain_name = name.removeprefix(environment.PREFIX)
        yield f"{name} has no effect: --start reads {plain_name}"
    known = [
        name.upper() for name in ExperimentSpec.model_fields if name not in assignments.AMBIGUOUS
    ]
    for name in variables:
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
        if near and name not in known and len(name) > 4:
            yield f"{name} has no effect: there is no such setting, did you mean {near[0]}?"


async def show(experiment: Experiment) -> None:
    """Log an experiment's rounds as they are recorded, its problems, and its results folder."""
    async for event in experiment.watch():
        if event.HasField("entry"):
            row = row_of(event.row)
            log.info("%s", round_line(row, experiment.resolved.spec.rounds))
        elif event.experiment.problem:
            log.info("%s", event.experiment.problem)
    log.info("results: %s", experiment.results or "none")


async def serve(options: argparse.Namespace, limits: Limits, spec: ExperimentSpec | None) -> None:
    """Serve until cancelled.

    Args:
        options: the parsed command line.
        limits: the limits of one peer.
        spec: an experiment to start at once; None for none. The service goes on after its end.
    """
    async with simulating(
        options.address,
        options.aggregator,
        options.data,
        options.runs,
        tls=Tls(options.certs) if options.certs else None,
        limits=limits,
    ) as (service, port):
        log.info("simulator on port %d", port)
        if spec is not None:
            resolved, reason = await asyncio.to_thread(
                lambda: choose_dataset(resolve(spec), options.data)
            )
            for note in filter(None, [reason, *resolved.notes]):
                log.info("%s", note)
            await show(await service.start(resolved, reason, None))
        await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="fedsiege.services.simulator", description=__doc__)
    parser.add_argument("--address", default="0.0.0.0:50052", help="host:port to serve on")
    parser.add_argument("--aggregator", default="localhost:50051", help="host:port")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the results")
    parser.add_argument(
        "--certs",
        type=Path,
        default=os.environ.get("FEDSIEGE_CERTS") or None,
        help="certificate bundle; turns on TLS",
    )
    parser.add_argument(
        "--limits",
        default=os.environ.get("FEDSIEGE_LIMITS", ""),
        help="limits of one peer: streams=2000,bytes=512MiB,...",
    )
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument(
        "--start",
        action="store_true",
        help="start the experiment given by environment variables: ATTACK, RULE, ROUNDS, ...",
    )
    options = parser.parse_args(arguments)
    try:
        limits = Limits.parse(options.limits)
        environment.check(os.environ)
        plugins.load_files()
        spec = from_environment(os.environ) if options.start else None
        process.tune_allocator()
        process.set_up_logging("simulator", options.log_level)
        for sentence in unread(os.environ) if options.start else ():
            log.warning("%s", sentence)
        process.run(lambda: serve(options, limits, spec))
    except InvalidValue as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
