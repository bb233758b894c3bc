"""``fedsiege serve``: the four services on this machine, standing, to be driven over gRPC."""

import asyncio
import signal
from pathlib import Path

from fedsiege.cli.screen import Screen
from fedsiege.errors import InvalidValue
from services.launch.local import LocalServices, Ports, local_workers
from services.rpc.server import LARGEST_PORT, why_not

HOST = "127.0.0.1"


def run(
    data: Path, runs: Path, clients: int, attackers: int, workers: int, port: int, screen: Screen
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        data: the folder of the data sets.
        runs: where results folders are created.
        clients: places for benign participants, shared out among the workers.
        attackers: places for hostile participants.
        workers: processes for benign participants.
        port: the aggregator's; the simulator's is the next. 0 takes two free ones.
        screen: where to say where the services are.

    Raises:
        InvalidValue: a value out of its range.
        ServiceDied: a service could not start, or ended.
    """
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
    asyncio.run(_stand(local, screen))


def _free(port: int) -> Ports:
    """Return where the servers are to listen.

    Args:
        port: the aggregator's; 0 for two free ones.

    Raises:
        InvalidValue: it is out of its range, or it or the next cannot be listened on.
    """
    if port == 0:
        return Ports()
    if not 0 < port < LARGEST_PORT:
        allowed = f"a port from 1 to {LARGEST_PORT - 1}, as the simulator takes the next; or 0"
        raise InvalidValue("PORT", port, f"{allowed}, which takes two free ones")
    for number, service in ((port, "aggregator"), (port + 1, "simulator")):
        if reason := why_not(HOST, number):
            allowed = f"{HOST}:{number}, for the {service}, {reason}; 0 takes two free ports"
            raise InvalidValue("PORT", port, allowed)
    return Ports(port, port + 1)


async def _stand(local: LocalServices, screen: Screen) -> None:
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
