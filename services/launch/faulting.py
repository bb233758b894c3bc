"""Make the planned faults of containers, round by round, and record them.

``faults.csv`` has one row per fault: the round, the container, the indices of its participants, the
fault, its time in seconds after the opening of the round, and how many of the container's updates
were accepted all the same. The indices and that number are empty if the run ends in that round.

Only client containers get faults, which stand for unreliable honest participants. All fakes share
one container, so that a fault of it would end the attack.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from fedsiege.experiment.faults import Fault, FaultPlan, Strike
from fedsiege.results import FaultRow, ParticipantRow
from fedsiege.results.table import Table
from fedsiege.services.launch.base import Fleet, FleetFailed
from fedsiege.services.simulator.intervention import Intervention

_PAST = {Fault.KILL: "killed", Fault.PAUSE: "paused", Fault.SLOW: "slowed"}


class Faulting(Intervention):
    """Makes the faults of a plan in the rounds of an experiment.

    Containers are paused or slowed from before the round opens until it has closed. Kills are
    spread over the duration of the shortest round so far; if a round closes earlier, its remaining
    kills are made then. A killed container is started again before the next round, which it may
    miss. An error of an overloaded engine is noted and does not end the run.

    Args:
        fleet: the containers.
        plan: the share of the client containers for each fault.
        seed: the seed of the run.
        table: the file ``faults.csv``.
        note: called with a summary of each round, and with errors.
    """

    makes_faults = True

    def __init__(
        self, fleet: Fleet, plan: FaultPlan, seed: int, table: Path, note: Callable[[str], None]
    ) -> None:
        self._fleet, self._plan, self._seed, self._note = fleet, plan, seed, note
        self._table = Table(table, FaultRow)
        self._clients = [worker.name for worker in fleet.workers if worker.kind == "client"]
        self._struck: dict[int, list[tuple[str, Fault, float]]] = defaultdict(list)
        self._over: set[int] = set()
        self._rows: dict[int, Sequence[ParticipantRow]] = {}
        #: Faults that are still to be ended.
        self._due: set[tuple[str, Fault]] = set()
        self._kills: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()
        self._opened = 0.0
        self._shortest = 1.0

    async def before(self, round_number: int) -> None:
        """Pause and slow containers; schedule the kills."""
        strikes = self._plan.draw(self._seed, round_number, len(self._clients))
        kills = [strike for strike in strikes if strike.fault is Fault.KILL]
        self._due.update((self._clients[one.worker], one.fault) for one in strikes)
        await asyncio.gather(
            *(self._strike(round_number, one) for one in strikes if one not in kills)
        )
        self._closing.clear()
        self._opened = _now()
        self._kills = [asyncio.create_task(self._kill(round_number, one)) for one in kills]

    async def after(self, round_number: int) -> None:
        """Make the remaining kills, end all faults, and write a summary."""
        self._shortest = min(self._shortest, _now() - self._opened)
        self._closing.set()
        await asyncio.gather(*self._kills)
        await asyncio.gather(*(self._relieve(round_number, one) for one in sorted(self._due)))
        made = Counter(fault for _, fault, _ in self._struck[round_number])
        if made:
            counts = ", ".join(f"{count} {_PAST[fault]}" for fault, count in sorted(made.items()))
            self._note(f"round {round_number}: of {len(self._clients)} client containers {counts}")
        self._over.add(round_number)
        self._write(round_number)

    async def _kill(self, round_number: int, strike: Strike) -> None:
        """Kill a container at the drawn time, or when the round closes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(strike.moment * self._shortest):
                await self._closing.wait()
        await self._strike(round_number, strike)

    async def _strike(self, round_number: int, strike: Strike) -> None:
        name = self._clients[strike.worker]
        seconds = max(0.0, _now() - self._opened) if strike.fault is Fault.KILL else 0.0
        try:
            if await self._fleet.strike(name, strike.fault):
                self._struck[round_number].append((name, strike.fault, seconds))
        except FleetFailed as error:
            self._note(f"round {round_number}: {name}: {error}")

    async def _relieve(self, round_number: int, due: tuple[str, Fault]) -> None:
        """End a fault; one that an overloaded engine fails to end is tried again next time."""
        try:
            await self._fleet.relieve(*due)
        except FleetFailed as error:
            self._note(f"round {round_number}: {due[0]}: {error}")
        else:
            self._due.remove(due)

    def recorded(self, round_number: int, participants: Sequence[ParticipantRow]) -> None:
        """Take the participants' outcomes in a round, also before its last fault is made."""
        self._rows[round_number] = participants
        self._write(round_number)

    def _write(self, round_number: int) -> None:
        """Write a round's rows once they are complete."""
        if round_number not in self._over or round_number not in self._rows:
            return
        hosted: dict[str, list[ParticipantRow]] = defaultdict(list)
        for row in self._rows.pop(round_number):
            hosted[row.identity.rpartition("/")[0]].append(row)
        self._over.remove(round_number)
        self._table.append(
            FaultRow(
                round_number,
                name,
                " ".join(str(row.index) for row in hosted[name]),
                fault,
                seconds,
                sum(row.accepted for row in hosted[name]),
            )
            for name, fault, seconds in self._struck.pop(round_number, ())
        )

    def close(self) -> None:
        """Stop making faults; write those of an unfinished round."""
        for kill in self._kills:
            kill.cancel()
        for number, struck in sorted(self._struck.items()):
            self._table.append(
                FaultRow(number, name, None, fault, seconds, None)
                for name, fault, seconds in struck
            )
        self._table.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
