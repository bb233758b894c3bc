"""``fedsiege serve``: run the four services on this machine, to be driven over gRPC."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedsiege.cli.command import single
from fedsiege.cli.files import Data, Plugins
from fedsiege.errors import InvalidValue

if TYPE_CHECKING:
    from fedsiege.cli.screen import Screen
    from fedsiege.services.launch.local import LocalServices, Ports

HOST = "127.0.0.1"


def serve(
    data: Data = Path("data"),
    runs: Annotated[Path, typer.Option(help="Where results folders are created.")] = Path("runs"),
    clients: Annotated[
        int, typer.Option(help="How many benign participants the workers can host.")
    ] = 100,
    attackers: Annotated[
        int, typer.Option(help="How many hostile participants the workers can host.")
    ] = 100,
    workers: Annotated[int, typer.Option(help="Processes for benign participants.")] = 1,
    port: Annotated[
        int,
        typer.Option(
            help="The aggregator's port; the simulator's is the next. 0 takes two free ones."
        ),
    ] = 50051,
    plugin: Plugins = None,
) -> None:
    """Run the four services on this machine until Ctrl-C, to be driven over gRPC."""
    from fedsiege.cli.screen import Screen
    from fedsiege.services.launch.local import LocalServices, local_workers

    for name, value, least in (
        ("CLIENTS", clients, 0),
        ("ATTACKERS", attackers, 0),
        ("WORKERS", workers, 1),
    ):
        if value < least:
            raise InvalidValue(name, value, f"a whole number, {least} or more")
    ports = _free(port)
    local = LocalServices(
        workers=local_workers(clients, workers, attackers),
        data=data,
        runs=runs,
        logs=runs / "logs",
        host=HOST,
        ports=ports,
    )
    asyncio.run(_serve(local, Screen()))


def _free(port: int) -> "Ports":
    """Return where the servers are to listen.

    Args:
        port: the aggregator's; 0 for two free ones.

    Raises:
        InvalidValue: it is out of its range, or it or the next cannot be listened on.
    """
    from fedsiege.services.launch.local import Ports
    from fedsiege.services.rpc.server import LARGEST_PORT, port_problem

    if port == 0:
        return Ports()
    if not 0 < port < LARGEST_PORT:
        allowed = f"a port from 1 to {LARGEST_PORT - 1}, as the simulator takes the next; or 0"
        raise InvalidValue("PORT", port, f"{allowed}, which takes two free ones")
    for number, service in ((port, "aggregator"), (port + 1, "simulator")):
        if reason := port_problem(HOST, number):
            allowed = f"{HOST}:{number}, for the {service}, {reason}; 0 takes two free ports"
            raise InvalidValue("PORT", port, allowed)
    return Ports(port, port + 1)


async def _serve(local: "LocalServices", screen: "Screen") -> None:
    here = asyncio.current_task()
    assert here is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, here.cancel)
    try:
        async with local.running() as (_, ports):
            screen.say(f"aggregator {HOST}:{ports.aggregator}")
            screen.say(f"simulator  {HOST}:{ports.simulator}")
            screen.say("Ctrl-C ends all four services.")
            await local.wait_for_exit()
    except asyncio.CancelledError:
        screen.say("ended")


app = single(serve)
