"""One experiment on this machine from start to end: ``fedsiege sim``."""

import asyncio
import contextlib
import enum
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedsiege import datasets
from fedsiege.cli.invocation import clean_options, this_command
from fedsiege.cli.observer import Observer
from fedsiege.errors import InvalidValue
from fedsiege.experiment.faults import Fault, FaultPlan
from fedsiege.experiment.resolve import ResolvedSpec, resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow, ResultsFolder, RunRecords, RunState
from fedsiege.results.cost import clean_twin
from fedsiege.results.report import RunReport
from fedsiege.results.run_info import record_clean_twin
from fedsiege.services.launch import credentials
from fedsiege.services.launch.base import Endpoints, Fleet, WorkerSpec
from fedsiege.services.launch.credentials import Credentials
from fedsiege.services.launch.engines import Engine
from fedsiege.services.launch.local import LocalServices, Ports, local_workers
from fedsiege.services.launch.supervision import Supervision
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.history_rows import row_of
from fedsiege.services.simulator import init_file
from fedsiege.services.simulator.experiment import Experiment
from fedsiege.services.simulator.service import choose_dataset
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

MOST_WORKERS = 64


class Twin(enum.StrEnum):
    """Where the clean twin of an attacked run comes from: the same run without the attack."""

    FIND = "find"
    RUN = "run"
    OFF = "off"

    @classmethod
    def of(cls, baseline: str) -> "Twin":
        """Read the option ``--baseline``.

        Raises:
            InvalidValue: it is none of them.
        """
        if baseline not in list(cls):
            raise InvalidValue("BASELINE", baseline, f"one of {', '.join(cls)}")
        return cls(baseline)


def run(
    spec: ExperimentSpec,
    data: Path,
    out: Path | None,
    workers: int,
    ports: Ports,
    observer: Observer,
    engine: Engine | None = None,
    twin: Twin = Twin.FIND,
    baseline: Sequence[str] = (),
    ends_with: int | None = None,
) -> bool:
    """Run one experiment from start to end.

    Args:
        spec: what to do.
        data: the folder of the data sets.
        out: the results folder; None for a new one under ``runs``.
        workers: processes that the benign participants are shared out among, 1 to 64; only without
            an engine.
        ports: where the services listen; 0 takes a free port.
        observer: is told what happens.
        engine: runs the workers in containers; None for processes.
        twin: where the same run without the attack comes from, which the cost is measured against.
        baseline: the command that runs one, without the options that make it the clean twin.
        ends_with: a pipe's file descriptor; the run is ended in order when the pipe is closed at
            its other end.

    Returns:
        Whether it finished.

    Raises:
        FedSiegeError: it is not possible; nothing was started.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise InvalidValue("WORKERS", workers, f"a whole number from 1 to {MOST_WORKERS}")
    if spec.clients == 0:
        raise InvalidValue("CLIENTS", 0, "1 or more: on this machine no other participants join")
    if engine is not None and workers != 1:
        allowed = f"with ENGINE={engine.name} PER_CONTAINER says how participants share workers"
        raise InvalidValue("WORKERS", workers, allowed)
    if FaultPlan.parse(spec.faults) and engine is None:
        raise InvalidValue("FAULTS", spec.faults, "faults are made on containers: ENGINE=docker")
    dataset = datasets.permit(spec.dataset, data, outside=engine is None)
    spec = spec.model_copy(update={"dataset": dataset})
    # Without an engine every worker is a process of this machine, whose death ends the run.
    resolved = resolve(spec, deadline=None) if engine is None else resolve(spec)
    init_files, notes = init_file.check(resolved, data)
    notes += _without_effect(resolved.spec, workers, engine, twin)
    resolved = replace(resolved, notes=(*resolved.notes, *notes))
    fleet = None if engine is None else engine.fleet(resolved.spec, data)
    with contextlib.ExitStack() as stack:
        host = "127.0.0.1"
        if fleet is not None:
            stack.callback(fleet.remove, None)
            host = fleet.prepare()
        secrets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedsiege-")))
        shown, posts = _admit(resolved.spec, fleet, workers, secrets, host)
        local = LocalServices(
            workers=posts,
            data=data,
            ports=ports,
            host=host,
            credentials=shown,
            init_files=init_files,
        )
        # Only now that the services are forked there may be threads.
        with ThreadPoolExecutor(1) as background:
            choice = background.submit(_choose, resolved, data)
            one = _LocalRun(
                local,
                fleet,
                lambda: (
                    ResultsFolder(out, this_command())
                    if out
                    else ResultsFolder.named_after(resolved.spec, command=this_command())
                ),
                observer,
                shown,
                ends_with,
            )
            finished = False
            try:
                finished = asyncio.run(one.run(choice))
            except asyncio.CancelledError:
                observer.say("Stopped. What there is has been kept.")
            finally:
                one.report(twin if finished else Twin.FIND, baseline)
            one.end(finished)
            return finished


def _without_effect(
    spec: ExperimentSpec, workers: int, engine: Engine | None, twin: Twin
) -> Iterator[str]:
    """Say which options have no effect on a run of this machine."""
    benign = spec.clients - spec.hostile
    if engine is None and workers > max(1, benign):
        yield f"WORKERS={workers} is as {benign}: there are {benign} benign participants"
    if twin is Twin.RUN and not spec.hostile:
        yield f"BASELINE={twin} has no effect: there is no attack to tell the cost of"
    if spec.admission is None and spec.leaked != ExperimentSpec.model_fields["leaked"].default:
        yield f"LEAKED={spec.leaked} has no effect: ADMISSION is open, where none asks for proof"


def _choose(resolved: ResolvedSpec, data: Path) -> tuple[ResolvedSpec, str]:
    """Choose the data set, and check what only this machine can tell.

    Not before the services are forked: a process that has looked for CUDA cannot be forked any
    more.

    Raises:
        FedSiegeError: it is not possible here; nothing was written.
    """
    if resolved.spec.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            why = "torch finds none" if torch.version.cuda else "this torch is built without CUDA"
            allowed = f"cpu, or cuda where there is such a device; {why}"
            raise InvalidValue("DEVICE", "cuda", allowed)
    return choose_dataset(resolved, data)


def _admit(
    spec: ExperimentSpec, fleet: Fleet | None, workers: int, secrets: Path, host: str
) -> tuple[Credentials, list[WorkerSpec]]:
    """Give every worker what enrolment asks for; return the workers that are processes here."""
    own = local_workers(spec.clients - spec.hostile, workers, spec.identities)
    posts = own if fleet is None else fleet.workers
    given = credentials.make(spec.admission or "open", secrets, posts, spec.leaked, host)
    if fleet is None:
        return given, [given.equip(post) for post in posts]
    given.let_containers_read()
    fleet.workers = tuple(given.equip(post) for post in posts)
    return given, []


class _LocalRun:
    """One experiment, and its observer."""

    def __init__(
        self,
        local: LocalServices,
        fleet: Fleet | None,
        make_folder: Callable[[], ResultsFolder],
        observer: Observer,
        shown: Credentials,
        ends_with: int | None = None,
    ) -> None:
        self._services = local
        self._fleet = fleet
        self._make_folder = make_folder
        self._observer = observer
        self._credentials = shown
        self._ends_with = ends_with
        self._rows: list[HistoryRow] = []
        self._notes = 0
        self._problem = ""

    async def run(self, choice: "Future[tuple[ResolvedSpec, str]]") -> bool:
        """Start the services and follow the experiment.

        Ctrl-C, SIGTERM and the end of ``ends_with`` end both in order.
        """
        here, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert here is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, here.cancel)
        if self._ends_with is not None:
            loop.add_reader(self._ends_with, self._read, self._ends_with, here)
        try:
            resolved, reason = await asyncio.wrap_future(choice)
            # Only now, as a run that is refused leaves no folder.
            self._folder = folder = self._make_folder()
        except BaseException:
            await self._services.stop()
            raise
        self._observer.folder(folder.path)
        self._services.write_to(folder.path.parent, folder.path / "logs")
        async with self._services.running() as (service, ports):
            endpoints = Endpoints(
                f"{self._services.host}:{ports.aggregator}",
                f"{self._services.host}:{ports.simulator}",
            )
            self._announce(resolved, reason, endpoints)
            async with self._supervision(endpoints) as supervision:
                experiment = await service.start(resolved, reason, self._folder)
                if supervision is not None:
                    supervision.make_faults(experiment)
                state = await self._see_through(experiment, supervision, endpoints)
        return state == pb.EXPERIMENT_STATE_FINISHED

    def _read(self, pipe: int, run: "asyncio.Task[Any]") -> None:
        """Cancel the run if the pipe is at its end; what comes before is ignored."""
        if not os.read(pipe, 4096):
            asyncio.get_running_loop().remove_reader(pipe)
            run.cancel()

    def report(self, twin: Twin, baseline: Sequence[str]) -> None:
        """Report the history and the figures of the run; run its clean twin before if asked to.

        Args:
            twin: where the clean twin comes from.
            baseline: the command that runs one.
        """
        try:
            if self._rows:
                run = RunRecords.read(self._folder.path)
                self._observer.history(run.history)
                self._sum_up(run, twin, baseline)
        except InvalidValue:
            if not self._problem:  # such as a full disk, which explains why nothing was written
                raise

    def end(self, finished: bool) -> None:
        """Report the end, of a run that no error ended."""
        stopped = RunState.FAILED if self._problem else RunState.CANCELLED
        self._observer.ended(RunState.FINISHED if finished else stopped, self._problem)

    def _sum_up(self, run: RunRecords, twin: Twin, baseline: Sequence[str]) -> None:
        """Report the figures of a run; run its clean twin before if asked to."""
        clean = None
        if run.spec.attack and twin is not Twin.OFF:
            clean = clean_twin(run)
            if clean is None and twin is Twin.RUN:
                self._observer.say("The same without the attack:")
                subprocess.run([*baseline, *clean_options(run)], check=False)  # noqa: S603
                clean = clean_twin(run)
            if clean is not None and not self._problem:
                record_clean_twin(run.path, clean.path)
        self._observer.summary(RunReport(run, clean=clean))

    @contextlib.asynccontextmanager
    async def _supervision(self, endpoints: Endpoints) -> AsyncIterator[Supervision | None]:
        """Have the containers while the block runs; without a fleet there are none."""
        if self._fleet is None:
            yield None
            return
        supervision = Supervision(self._fleet, self._folder.path, self._observer)
        try:
            await supervision.start(endpoints)
            yield supervision
        finally:
            supervision.close()
            logs, fleet = self._folder.path / "logs", self._fleet
            await _to_the_end(lambda: fleet.remove(logs))

    async def _see_through(
        self, experiment: Experiment, supervision: Supervision | None, endpoints: Endpoints
    ) -> pb.ExperimentState.ValueType:
        """Follow the experiment, unless a service or the fleet ends before it does.

        Raises:
            ServiceDied, FleetFailed: what ended.
        """
        following = asyncio.create_task(self._follow(experiment, endpoints))
        others = [asyncio.create_task(self._services.wait_for_exit())]
        if supervision is not None:
            others.append(asyncio.create_task(supervision.supervise(experiment)))
        try:
            await asyncio.wait([following, *others], return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                await next(one for one in others if one.done())
            state = await following
        finally:
            for task in (following, *others):
                task.cancel()
            await experiment.cancel()  # before its workers are taken away
        if supervision is not None:
            await supervision.sample(experiment)
        return state

    def _announce(self, resolved: ResolvedSpec, reason: str, endpoints: Endpoints) -> None:
        self._observer.resolved(resolved, reason)
        spec, plan = resolved.spec, FaultPlan.parse(resolved.spec.faults)
        away = plan.shares.get(Fault.KILL, 0) + plan.shares.get(Fault.PAUSE, 0)
        if away and spec.threshold == spec.clients:
            self._observer.say(
                f"A round that misses an update closes after {spec.deadline} s; "
                "DEADLINE or THRESHOLD make that shorter"
            )
        self._observer.say(
            f"aggregator {endpoints.aggregator}, simulator {endpoints.simulator}, "
            f"logs {self._folder.path / 'logs'}"
        )

    async def _follow(
        self, experiment: Experiment, endpoints: Endpoints
    ) -> pb.ExperimentState.ValueType:
        """Report the experiment until it ends."""
        self._notes = len(experiment.notes)
        watched = experiment.experiment_id
        request = pb.WatchExperimentRequest(experiment_id=watched, from_round=0)
        async with connect(endpoints.simulator, self._credentials.tls()) as channel:
            stub = rpc.SimulatorServiceStub(channel)
            last = experiment.describe()
            with self._observer.rounds(experiment.resolved.spec.rounds) as show:
                async for event in stub.WatchExperiment(request):
                    if event.HasField("entry"):
                        self._rows.append(row_of(event.row))
                        show(self._rows[-1])
                    else:
                        last = event.experiment
                        for note in last.notes[self._notes :]:
                            self._observer.note(note)
                        self._notes = max(self._notes, len(last.notes))
        if last.state == pb.EXPERIMENT_STATE_FAILED:
            self._problem = last.problem
        return last.state


async def _to_the_end(work: Callable[[], None]) -> None:
    """Do something that blocks, and be kept from it by no Ctrl-C."""
    done = asyncio.create_task(asyncio.to_thread(work))
    while not done.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(done)
    done.result()
