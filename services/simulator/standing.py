"""``fedsiege serve``: the four services on this machine, standing, to be driven over gRPC."""

import asyncio
import signal
from pathlib import Path

from fedsiege.errors import InvalidValue
from services.simulator.laptop import Laptop, Ports, local_posts
from services.simulator.screen import Screen


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
        port: the aggregator's; the simulator's is the next.
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
    laptop = Laptop(
        posts=local_posts(clients, workers, attackers),
        data=data,
        runs=runs,
        logs=runs / "logs",
        ports=Ports(port, port + 1),
    )
    asyncio.run(_stand(laptop, screen))


async def _stand(laptop: Laptop, screen: Screen) -> None:
    here = asyncio.current_task()
    assert here is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, here.cancel)
    try:
        async with laptop.running() as (_, ports):
            screen.say(f"aggregator 127.0.0.1:{ports.aggregator}")
            screen.say(f"simulator  127.0.0.1:{ports.simulator}")
            screen.say("Ctrl-C ends all four services.")
            await laptop.death()
    except asyncio.CancelledError:
        screen.say("ended")
