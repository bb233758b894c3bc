"""A federation in containers, started through the Docker SDK."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from docker.models.containers import Container

from benchmarks.containers import engine
from benchmarks.containers.engine import ContainerNetwork, address, container_network, each
from benchmarks.contest import ContenderError
from benchmarks.processes import ROOT
from fedsiege.services.identity.bundle import Bundle
from fedsiege.services.rpc.channel import PAST_PROXIES
from fedsiege.services.rpc.settings import of as spec_message
from fedsiege.v1 import aggregator_pb2 as data_pb
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

AGGREGATOR, SIMULATOR = "aggregator:50051", "simulator:50052"
#: The modules of workers: the client of the image, and those of this package.
CLIENT = "fedsiege.services.client"
LIGHT, MARKING = "benchmarks.containers.light", "benchmarks.containers.marking"
#: The mount of this package, which is not in the image.
BENCHMARKS = {ROOT / "benchmarks": "/bench/benchmarks"}
#: The name of the bundle with which the benchmark itself calls.
DRIVER = "driver"
_TIME_LIMIT = 300.0
#: The most connections of a server.
_FILES = 20_000


@dataclass(frozen=True)
class FinishedExperiment:
    """An experiment that has ended.

    Attributes:
        experiment: its final state.
        closed: when the end of each round was reported, by ``time.perf_counter``.
    """

    experiment: pb.Experiment
    closed: Sequence[float]

    @property
    def entries(self) -> list[data_pb.AccuracyEntry]:
        """The history's entries from round 1 on."""
        return list(self.experiment.historical_accuracy)[1:]


class Federation:
    """Aggregator and simulator in containers, and workers.

    Args:
        network: where they run.
        stack: closes the connections to them.
        options: command line options of both.
        bundles: a folder with the bundle of each service, for TLS and admission by certificate;
            None for open admission without TLS.
    """

    def __init__(
        self,
        network: ContainerNetwork,
        stack: ExitStack,
        options: Sequence[str],
        bundles: Path | None,
    ) -> None:
        self.network = network
        self._bundles = bundles
        admission = ["--admission=mtls"] if bundles else []
        self.aggregator = self._serve("aggregator", 50051, *options, *admission)
        self.simulator = self._serve(
            "simulator", 50052, f"--aggregator={AGGREGATOR}", "--runs=/tmp/runs", *options
        )
        self.data = data_rpc.AggregatorServiceStub(self._channel(stack, self.aggregator, 50051))
        self.control = rpc.SimulatorServiceStub(self._channel(stack, self.simulator, 50052))

    def _serve(self, name: str, port: int, *options: str) -> Container:
        command = ["python", "-m", f"fedsiege.services.{name}", f"--address=0.0.0.0:{port}"]
        proof, mounts = self._proof(name)
        return self.network.start(
            name,
            [*command, "--log-level=WARNING", *proof, *options],
            mounts,
            ports={f"{port}/tcp": ("127.0.0.1", None)},
            ulimits=[engine.files(_FILES)],
        )

    def _proof(self, name: str) -> tuple[list[str], dict[Path, str]]:
        """Return the option for a service's bundle, and its mount."""
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
            count: number of containers.
            options: command line options of the module.
            first: the number of the first container.
        """
        command = ["python", "-m", module, f"--aggregator={AGGREGATOR}", f"--simulator={SIMULATOR}"]

        def start(number: int) -> Container:
            proof, mounts = self._proof(worker_name(number))
            return self.network.start(
                worker_name(number),
                [*command, *proof, *options],
                {**BENCHMARKS, **mounts},
                entrypoint=["/opt/lasting-secret.sh"],
                environment={"PYTHONPATH": "/bench"},
            )

        return each(start, range(first, first + count))

    def attached(self) -> list[pb.Worker]:
        """Return the workers that are attached to the simulator."""
        response = self.control.ListWorkers(
            pb.ListWorkersRequest(), timeout=_TIME_LIMIT, wait_for_ready=True
        )
        return list(response.workers)

    def wait_for_workers(self, count: int) -> None:
        """Wait until ``count`` workers are attached.

        Raises:
            ContenderError: the time limit is reached before.
        """
        until = time.monotonic() + _TIME_LIMIT
        while (there := len(self.attached())) < count:
            if time.monotonic() > until:
                raise ContenderError(
                    f"{there} of {count} workers attached after {_TIME_LIMIT:.0f} s"
                )
            time.sleep(0.2)

    def start(self, **settings: Any) -> str:
        """Start an experiment with fields of ExperimentSpec; return its id."""
        chosen: dict[str, Any] = {"attack": 0.0, "dataset": "digits", "deadline": _TIME_LIMIT}
        request = pb.StartExperimentRequest(spec=spec_message({**chosen, **settings}))
        started = self.control.StartExperiment(request, timeout=_TIME_LIMIT, wait_for_ready=True)
        return started.experiment.experiment_id

    def run_experiment(self, **settings: Any) -> FinishedExperiment:
        """Run an experiment with fields of ExperimentSpec to its end.

        Raises:
            ContenderError: the experiment did not finish.
        """
        watch = pb.WatchExperimentRequest(experiment_id=self.start(**settings))
        last, closed = pb.Experiment(), []
        for event in self.control.WatchExperiment(watch, timeout=2 * _TIME_LIMIT):
            if event.WhichOneof("event") == "experiment":
                last = event.experiment
            elif event.entry.round > 0:
                closed.append(time.perf_counter())
        if last.state != pb.EXPERIMENT_STATE_FINISHED:
            raise ContenderError(f"after {len(closed)} rounds: {last.problem}")
        return FinishedExperiment(last, closed)

    def log_tail(self) -> str:
        """Return the last lines of the servers' logs."""
        logs = [server.logs(tail=4) for server in (self.aggregator, self.simulator)]
        return b" | ".join(log.strip() for log in logs).decode(errors="replace")


def worker_name(number: int) -> str:
    """Return the name of a worker's container and bundle."""
    return f"client-{number}"


@contextmanager
def federation(name: str, *options: str, bundles: Path | None = None) -> Iterator[Federation]:
    """Keep a federation while the block runs, and remove it afterwards.

    Args:
        name: the name of the benchmark.
        options: command line options of aggregator and simulator.
        bundles: a folder with the bundle of each service; None for no TLS.

    Raises:
        ContenderError: the engine or a service reports an error.
    """
    with container_network(name) as network, ExitStack() as stack:
        both = Federation(network, stack, options, bundles)
        try:
            yield both
        except grpc.RpcError as error:
            why = " ".join(str(error).split())  # on one line
            raise ContenderError(f"{why}; {both.log_tail()}") from error
