"""The gRPC service of the simulator: workers attach, callers start and follow experiments."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import ResolvedSpec, resolve, spelled_dataset
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import ResultsFolder
from fedsiege.services.errors import Exhausted, Forbidden, Malformed, NotFound, Refusal
from fedsiege.services.identity import callers
from fedsiege.services.rpc import settings
from fedsiege.services.simulator.experiment import Experiment
from fedsiege.services.simulator.workers import AttachedWorker, Workers
from fedsiege.v1 import aggregator_pb2_grpc as data_rpc
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

log = logging.getLogger(__name__)

#: Methods of the control plane; participants must not learn which of them are hostile.
CONTROL = frozenset(
    {
        "ListWorkers",
        "StartExperiment",
        "WatchExperiment",
        "GetExperiment",
        "ListExperiments",
        "CancelExperiment",
    }
)
#: Methods for workers.
PARTICIPANT = frozenset({"Attach"})
DEFAULT_PAGE = 100
LARGEST_PAGE = 1_000
#: Bytes of a page of experiments.
LARGEST_LIST = 3 << 20
#: Experiments that may wait or run at a time.
MOST_UNFINISHED = 100
#: Ended experiments remembered; their results stay on disk.
MOST_REMEMBERED = 1_000
#: Federations of ended experiments that the aggregator keeps for inspection.
FEDERATIONS_KEPT = 8
#: Seconds within which MNIST must have been downloaded for "auto" to take it.
DOWNLOAD_TIMEOUT = 5.0


def choose_dataset(resolved: ResolvedSpec, data: Path) -> tuple[ResolvedSpec, str]:
    """Resolve the data set: choose one for "auto", and check that it is available.

    Args:
        resolved: a specification that is resolved otherwise.
        data: the folder of the data sets.

    Returns:
        The resolved specification, and why the data set was chosen; empty if it was named.

    Raises:
        MissingData: the data set is missing and cannot be downloaded.
        InvalidValue: it cannot be shared out so, such as with too few samples.
    """
    # Imported late: torch takes a second to import, and only experiments need it.
    from fedsiege import datasets, partitions

    spec, reason = resolved.spec, ""
    if spec.dataset == "auto":
        name, reason = datasets.resolve("auto", data, DOWNLOAD_TIMEOUT)
        spec = spec.model_copy(update={"dataset": name})
        spec = spec.model_copy(update={"dataset": spelled_dataset(spec)})
    loaded = datasets.load(spec.dataset, data)
    try:
        share = partitions.parse(spec.partition)
        share.check(loaded.train_labels, spec.clients or 1, spec.samples, loaded.groups)
    except InvalidValue as error:
        known = {"samples": spec.samples, "participants": spec.clients}
        name = {"samples": "SAMPLES", "participants": "CLIENTS"}.get(error.name, "PARTITION")
        raise InvalidValue(name, known.get(error.name, spec.partition), error.allowed) from error
    resolved = replace(resolved, spec=spec, notes=(*resolved.notes, *loaded.notes))
    resolved = resolved.with_inputs(loaded.inputs)
    return replace(resolved, class_names=loaded.class_names), reason


def check_certificate(hello: pb.Hello, caller: callers.Caller) -> None:
    """Check a worker's name and capacity against its certificate, if it has one.

    Raises:
        Forbidden: the name differs, or a client's capacity exceeds the certificate's.
    """
    if not caller.verified:
        return
    if hello.worker != caller.name:
        raise Forbidden(
            "NOT_YOUR_NAME",
            f"worker {hello.worker!r} must have the name of its certificate, {caller.name!r}",
        )
    # An attacker may exceed it, so that the aggregator's own check is tested.
    if hello.kind == pb.WORKER_KIND_CLIENT and hello.capacity > caller.participants:
        raise Forbidden(
            "CAPACITY_EXCEEDED",
            f"capacity {hello.capacity} exceeds the {caller.participants} participants of the "
            f"certificate of {caller.name!r}",
        )


class SimulatorService(rpc.SimulatorServiceServicer):
    """Serves the control plane.

    Args:
        aggregator: a channel to the aggregator.
        data: the folder of the data sets.
        runs: the folder in which results folders are created.
    """

    def __init__(self, aggregator: grpc.aio.Channel, data: Path, runs: Path) -> None:
        self.use_aggregator(aggregator)
        self._data = data
        self._runs = runs
        self._workers = Workers()
        self._experiments: dict[str, Experiment] = {}
        self._lock = asyncio.Lock()

    def use_aggregator(self, aggregator: grpc.aio.Channel) -> None:
        """Use a channel to the aggregator for the experiments that start from now on."""
        self._aggregator: data_rpc.AggregatorServiceAsyncStub
        self._aggregator = data_rpc.AggregatorServiceStub(aggregator)

    def _find(self, experiment_id: str) -> Experiment:
        experiment = self._experiments.get(experiment_id)
        if experiment is None:
            raise NotFound("UNKNOWN_EXPERIMENT", f"there is no experiment {experiment_id[:100]!r}")
        return experiment

    def _find_or_newest(self, experiment_id: str) -> Experiment:
        """Return an experiment for reading: the newest if no id is given."""
        if not experiment_id and self._experiments:
            return list(self._experiments.values())[-1]
        return self._find(experiment_id)

    # --- workers

    async def Attach(
        self, request_iterator: AsyncIterator[pb.AttachRequest], context: Any
    ) -> AsyncIterator[pb.AttachResponse]:
        """Serve a worker's stream: pass its messages to its experiment, and send it the replies."""
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("hello"):
            raise Malformed("MALFORMED_STREAM", "the first message must be hello")
        check_certificate(first.hello, callers.current())
        worker = self._workers.attach(first.hello)
        self._workers.log(f"worker {worker.name} attached, capacity {worker.hello.capacity}")
        receiving = asyncio.create_task(self._receive(worker, request_iterator))
        try:
            while (message := await worker.outbox.get()) is not None:
                yield message
            if receiving.done():
                receiving.result()  # raises the error of an invalid message, as the call's status
        finally:
            receiving.cancel()
            self._workers.detach(worker)
            self._workers.log(f"worker {worker.name} detached")

    async def _receive(
        self, worker: AttachedWorker, messages: AsyncIterator[pb.AttachRequest]
    ) -> None:
        """Pass a worker's messages to their experiments until its stream ends."""
        try:
            async for message in messages:
                kind = message.WhichOneof("message")
                if kind in (None, "hello"):
                    continue
                experiment = self._experiments.get(getattr(message, kind).experiment_id)
                if experiment is not None:
                    experiment.handle(worker, message)
        finally:
            worker.outbox.put_nowait(None)  # the worker closed its stream, so close ours

    async def ListWorkers(
        self, request: pb.ListWorkersRequest, context: Any
    ) -> pb.ListWorkersResponse:
        """List the attached workers."""
        response = pb.ListWorkersResponse()
        for worker in self._workers:
            described = response.workers.add(
                worker=worker.name,
                kind=worker.hello.kind,
                capacity=worker.hello.capacity,
                experiment_id=worker.experiment_id,
            )
            described.attach_time.FromMicroseconds(int(worker.attached_at * 1e6))
        return response

    # --- experiments

    async def StartExperiment(
        self, request: pb.StartExperimentRequest, context: Any
    ) -> pb.StartExperimentResponse:
        """Start an experiment, which writes to a new results folder."""
        resolved, reason = await asyncio.to_thread(self._resolve, settings.read(request.spec))
        experiment = await self.start(resolved, reason, None)
        return pb.StartExperimentResponse(experiment=experiment.describe())

    def _resolve(self, spec: ExperimentSpec) -> tuple[ResolvedSpec, str]:
        return choose_dataset(resolve(spec), self._data)

    async def start(
        self, resolved: ResolvedSpec, dataset_reason: str, folder: ResultsFolder | None
    ) -> Experiment:
        """Start an experiment.

        Args:
            resolved: the resolved specification.
            dataset_reason: why its data set was chosen; empty if it was named.
            folder: the results folder; None for a new one under ``runs``. Only the command line
                may choose it: callers over gRPC must not decide where files are written.

        Raises:
            Exhausted: too many experiments wait already.
        """
        unfinished = sum(not one.ended for one in self._experiments.values())
        if unfinished >= MOST_UNFINISHED:
            raise Exhausted(
                "TOO_MANY_EXPERIMENTS",
                f"{unfinished} experiments wait or run; the limit is {MOST_UNFINISHED}",
            )
        experiment = Experiment(
            secrets.token_hex(6),
            resolved,
            dataset_reason,
            self._workers,
            self._aggregator,
            self._data,
            lambda: folder or ResultsFolder.named_after(resolved.spec, root=self._runs),
        )
        await self._forget_old()
        self._experiments[experiment.experiment_id] = experiment
        experiment.start(self._lock)
        return experiment

    async def _forget_old(self) -> None:
        """Close federations of ended experiments, and drop the oldest, to bound the memory."""
        ended = [one for one in self._experiments.values() if one.ended]
        for experiment in ended[:-FEDERATIONS_KEPT]:
            federation, experiment.federation = experiment.federation, None
            if federation is not None:
                try:
                    await federation.close()
                except grpc.aio.AioRpcError as error:
                    log.warning("federation not closed: %s", Refusal.of(error))
        for experiment in ended[:-MOST_REMEMBERED]:
            del self._experiments[experiment.experiment_id]

    async def WatchExperiment(
        self, request: pb.WatchExperimentRequest, context: Any
    ) -> AsyncIterator[pb.WatchExperimentResponse]:
        """Stream the events of an experiment."""
        from_round = request.from_round if request.HasField("from_round") else None
        async for event in self._find_or_newest(request.experiment_id).watch(from_round):
            yield event

    async def GetExperiment(
        self, request: pb.GetExperimentRequest, context: Any
    ) -> pb.GetExperimentResponse:
        """Describe an experiment."""
        found = self._find_or_newest(request.experiment_id)
        return pb.GetExperimentResponse(
            experiment=found.describe(with_history=not request.without_history)
        )

    async def ListExperiments(
        self, request: pb.ListExperimentsRequest, context: Any
    ) -> pb.ListExperimentsResponse:
        """List experiments, newest first."""
        size = request.page_size or DEFAULT_PAGE
        if size > LARGEST_PAGE:
            raise Malformed(
                "INVALID_VALUE", f"page_size {size} exceeds the limit of {LARGEST_PAGE}"
            )
        newest_first = list(reversed(self._experiments.values()))
        start = 0
        if request.page_token:
            identifiers = [one.experiment_id for one in newest_first]
            if request.page_token not in identifiers:
                token = request.page_token[:40]
                raise Malformed("INVALID_VALUE", f"page_token {token!r} is not known any more")
            start = identifiers.index(request.page_token) + 1
        response = pb.ListExperimentsResponse()
        for one in newest_first[start : start + size]:
            described = one.describe(with_history=False)
            # A message of gRPC may have 4 MiB, which many experiments with many notes exceed.
            if response.experiments and response.ByteSize() + described.ByteSize() > LARGEST_LIST:
                break
            response.experiments.append(described)
        if start + len(response.experiments) < len(newest_first):
            response.next_page_token = response.experiments[-1].experiment_id
        return response

    async def CancelExperiment(
        self, request: pb.CancelExperimentRequest, context: Any
    ) -> pb.CancelExperimentResponse:
        """Cancel an experiment; has no effect on one that has ended."""
        experiment = self._find(request.experiment_id)
        await experiment.cancel()
        return pb.CancelExperimentResponse(
            experiment=experiment.describe(with_history=not request.without_history)
        )

    async def close(self) -> None:
        """Cancel all experiments and end the streams of all workers."""
        for experiment in list(self._experiments.values()):
            await experiment.cancel()
        for worker in self._workers:
            worker.outbox.put_nowait(None)
