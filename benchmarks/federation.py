"""A FedSiege federation for a benchmark: aggregator, simulator and workers as processes.

The services are the real ones, with real connections, started as in ``docker-compose.yml``.
"""

import itertools
import re
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.contest import ContenderError
from benchmarks.processes import Process, running
from fedsiege.services.rpc.channel import PAST_PROXIES
from fedsiege.services.rpc.settings import of as spec_message
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

NAME = "FedSiege"
#: The modules of workers whose participants only send back the model, and of those that train.
ECHO, CLIENT = "benchmarks.echo", "fedsiege.services.client"
_TIME_LIMIT = 180.0


@dataclass(frozen=True)
class Federation:
    """A running federation.

    Attributes:
        aggregator: the aggregator's process.
        processes: all processes.
        simulator: a client stub of the simulator.
    """

    aggregator: Process
    processes: Sequence[Process]
    simulator: rpc.SimulatorServiceStub

    def round_seconds(self, **settings: Any) -> list[float]:
        """Run an experiment and return the time from one round's end to the next.

        Args:
            settings: fields of ExperimentSpec, among them ``clients``, and ``rounds``, 2 or more.

        Returns:
            Seconds, one value less than there are rounds.

        Raises:
            ContenderError: the experiment did not finish, or an update is missing in a round.
        """
        spec = spec_message(
            {"attack": 0.0, "dataset": "digits", "deadline": _TIME_LIMIT, **settings}
        )
        request = pb.StartExperimentRequest(spec=spec)
        with self._guarded(
            self.simulator.StartExperiment.future(request, timeout=_TIME_LIMIT, wait_for_ready=True)
        ) as start:
            last = start.result().experiment
        closed = []
        watch = pb.WatchExperimentRequest(experiment_id=last.experiment_id)
        with self._guarded(self.simulator.WatchExperiment(watch, timeout=_TIME_LIMIT)) as events:
            for event in events:
                if event.WhichOneof("event") == "experiment":
                    last = event.experiment
                elif event.entry.round > 0:
                    closed.append(time.perf_counter())
                    if event.entry.updates != settings["clients"] or event.entry.problem:
                        raise ContenderError(f"an update is missing: {event.entry}")
        if last.state != pb.EXPERIMENT_STATE_FINISHED or len(closed) != settings["rounds"]:
            raise ContenderError(f"{len(closed)} of {settings['rounds']} rounds: {last.problem}")
        return [later - earlier for earlier, later in itertools.pairwise(closed)]

    @contextmanager
    def _guarded(self, call: Any) -> Iterator[Any]:  # gRPC's calls share no public type
        """Cancel a call when one of the processes ends, and raise an error that says why."""
        done = threading.Event()

        def guard() -> None:
            while not done.wait(0.1):
                if any(process.child.poll() is not None for process in self.processes):
                    call.cancel()
                    return

        thread = threading.Thread(target=guard)
        thread.start()
        try:
            yield call
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            words = "; ".join(f"{one.name}: {one.log_tail()}" for one in self.processes)
            why = error.details() if isinstance(error, grpc.Call) else "a service ended"
            raise ContenderError(f"{why}; {words}") from error
        finally:
            done.set()
            thread.join()

    def peak_memory(self) -> int:
        """Return the peak resident memory of the aggregator so far, in bytes."""
        status = Path(f"/proc/{self.aggregator.child.pid}/status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise ContenderError("this system does not report the peak memory of a process")
        return int(found[1]) * 1024


@contextmanager
def federation(worker: str, participants: int, workers: int = 2) -> Iterator[Federation]:
    """Keep a federation running while the block runs.

    Args:
        worker: the module of the workers, ``ECHO`` or ``CLIENT``.
        participants: number of participants of all workers together.
        workers: number of worker processes.
    """
    aggregator_at, simulator_at = _free_addresses(2)
    with ExitStack() as stack:
        runs = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-runs-"))

        def start(module: str, *options: str) -> Process:
            command = [sys.executable, "-m", module, "--log-level=WARNING", *options]
            return stack.enter_context(running(command))

        aggregator = start("fedsiege.services.aggregator", f"--address={aggregator_at}")
        simulator = start(
            "fedsiege.services.simulator",
            f"--address={simulator_at}",
            f"--aggregator={aggregator_at}",
            f"--runs={runs}",
        )
        hosts = [
            start(
                worker,
                f"--aggregator={aggregator_at}",
                f"--simulator={simulator_at}",
                f"--participants={-(-participants // workers)}",
                f"--name=bench-{number}",
            )
            for number in range(workers)
        ]
        channel = stack.enter_context(grpc.insecure_channel(simulator_at, [PAST_PROXIES]))
        processes = [aggregator, simulator, *hosts]
        yield Federation(aggregator, processes, rpc.SimulatorServiceStub(channel))


def _free_addresses(count: int) -> list[str]:
    """Return addresses of this machine whose ports are free."""
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
