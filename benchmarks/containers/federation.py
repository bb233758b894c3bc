"""A federation in containers, started through the engine's own interface."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from docker.models.containers import Container

from benchmarks.containers import engine
from benchmarks.containers.engine import Stage, address, each, stage
from benchmarks.contest import ContenderError
from benchmarks.processes import ROOT
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc
from services.identity.bundle import Bundle
from services.rpc.channel import PAST_PROXIES
from services.rpc.settings import of as spec_message

AGGREGATOR, SIMULATOR = "aggregator:50051", "simulator:50052"
#: What workers run: the client as the image has it, and those of this package.
CLIENT = "services.client"
LIGHT, MARKING = "benchmarks.containers.light", "benchmarks.containers.marking"
#: Where a container sees this package, which is not in the image.
BENCHMARKS = {ROOT / "benchmarks": "/bench/benchmarks"}
#: Whose bundle the benchmark itself calls with.
DRIVER = "driver"
_PATIENCE = 300.0
#: Connections that a server can hold.
_FILES = 20_000


@dataclass(frozen=True)
class Played:
    """An experiment that has ended.

    Attributes:
        experiment: as it ended.
        closed: when each of its rounds was told of, on the clock of ``time.perf_counter``.
    """

    experiment: pb.Experiment
    closed: Sequence[float]

    @property
    def entries(self) -> list[data_pb.AccuracyEntry]:
        """The rounds' entries of the history."""
        return list(self.experiment.historical_accuracy)[1:]


class Federation:
    """Aggregator and simulator in containers, and the workers started beside them.

    Args:
        scene: where they run.
        stack: holds the connections to them.
        options: that both take.
        bundles: a folder with everyone's bundle, for TLS and admission by certificate; None for a
            federation in the clear that is open to all.
    """

    def __init__(
        self, scene: Stage, stack: ExitStack, options: Sequence[str], bundles: Path | None
    ) -> None:
        self.stage = scene
        self._bundles = bundles
        admission = ["--admission=mtls"] if bundles else []
        self.aggregator = self._serve("aggregator", 50051, *options, *admission)
        self.simulator = self._serve(
            "simulator", 50052, f"--aggregator={AGGREGATOR}", "--runs=/tmp/runs", *options
        )
        self.data = data_rpc.AggregatorServiceStub(self._channel(stack, self.aggregator, 50051))
        self.control = rpc.SimulatorServiceStub(self._channel(stack, self.simulator, 50052))

    def _serve(self, name: str, port: int, *options: str) -> Container:
        command = ["python", "-m", f"services.{name}", f"--address=0.0.0.0:{port}"]
        proof, mounts = self._proof(name)
        return self.stage.start(
            name,
            [*command, "--log-level=WARNING", *proof, *options],
            mounts,
            ports={f"{port}/tcp": ("127.0.0.1", None)},
            ulimits=[engine.files(_FILES)],
        )

    def _proof(self, name: str) -> tuple[list[str], dict[Path, str]]:
        """Return the option that names a service's bundle, and how it gets there."""
        if self._bundles is None:
            return [], {}
        return ["--certs=/certs"], {self._bundles / name: "/certs"}

    def _channel(self, stack: ExitStack, container: Container, port: int) -> grpc.Channel:
        at = address(container, port)
        if self._bundles is None:
            return stack.enter_context(grpc.insecure_channel(at, [PAST_PROXIES]))
        mine = Bundle.read(self._bundles / DRIVER)
        credentials = grpc.ssl_channel_credentials(
            mine.authority_pem, mine.key_pem, mine.certificate_pem
        )
        return stack.enter_context(grpc.secure_channel(at, credentials, [PAST_PROXIES]))

    def workers(self, module: str, count: int, *options: str, first: int = 0) -> list[Container]:
        """Start worker containers.

        Args:
            module: ``CLIENT``, ``LIGHT`` or ``MARKING``.
            count: how many.
            options: of the module.
            first: the number of the first one.
        """
        command = ["python", "-m", module, f"--aggregator={AGGREGATOR}", f"--simulator={SIMULATOR}"]

        def start(number: int) -> Container:
            proof, mounts = self._proof(worker_name(number))
            return self.stage.start(
                worker_name(number),
                [*command, *proof, *options],
                {**BENCHMARKS, **mounts},
                entrypoint=["/opt/lasting-secret.sh"],
                environment={"PYTHONPATH": "/bench"},
            )

        return each(start, range(first, first + count))

    def attached(self) -> list[pb.Worker]:
        """Return the workers that are there."""
        response = self.control.ListWorkers(
            pb.ListWorkersRequest(), timeout=_PATIENCE, wait_for_ready=True
        )
        return list(response.workers)

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many are there.

        Raises:
            ContenderError: they do not come.
        """
        until = time.monotonic() + _PATIENCE
        while (there := len(self.attached())) < count:
            if time.monotonic() > until:
                raise ContenderError(f"{there} of {count} workers after {_PATIENCE:.0f} s")
            time.sleep(0.2)

    def start(self, **settings: Any) -> str:
        """Start an experiment; return its identifier. Settings are fields of ExperimentSpec."""
        chosen: dict[str, Any] = {"attack": 0.0, "dataset": "digits", "deadline": _PATIENCE}
        request = pb.StartExperimentRequest(spec=spec_message({**chosen, **settings}))
        started = self.control.StartExperiment(request, timeout=_PATIENCE, wait_for_ready=True)
        return started.experiment.experiment_id

    def play(self, **settings: Any) -> Played:
        """Run an experiment to its end.

        Raises:
            ContenderError: it did not finish.
        """
        watch = pb.WatchExperimentRequest(experiment_id=self.start(**settings))
        last, closed = pb.Experiment(), []
        for event in self.control.WatchExperiment(watch, timeout=2 * _PATIENCE):
            if event.WhichOneof("event") == "experiment":
                last = event.experiment
            elif event.entry.round > 0:
                closed.append(time.perf_counter())
        if last.state != pb.EXPERIMENT_STATE_FINISHED:
            raise ContenderError(f"after {len(closed)} rounds: {last.problem}")
        return Played(last, closed)

    def last_words(self) -> str:
        """Return the ends of the servers' logs."""
        logs = [server.logs(tail=4) for server in (self.aggregator, self.simulator)]
        return b" | ".join(log.strip() for log in logs).decode(errors="replace")


def worker_name(number: int) -> str:
    """Return what a worker's container, and its bundle, are called."""
    return f"client-{number}"


@contextmanager
def federation(name: str, *options: str, bundles: Path | None = None) -> Iterator[Federation]:
    """Keep a federation while the block runs; nothing of it stays.

    Args:
        name: of the benchmark.
        options: that aggregator and simulator both take.
        bundles: a folder with everyone's bundle; None for a federation in the clear.

    Raises:
        ContenderError: the engine or a service refuses.
    """
    with stage(name) as scene, ExitStack() as stack:
        both = Federation(scene, stack, options, bundles)
        try:
            yield both
        except grpc.RpcError as error:
            why = " ".join(str(error).split())  # on one line
            raise ContenderError(f"{why}; {both.last_words()}") from error
