"""The client: starts experiments, finds them, lists workers."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from google.protobuf.struct_pb2 import Struct

from fedsiege.client.experiment import Experiment
from fedsiege.client.worker import Worker
from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.rpc import settings
from fedsiege.services.rpc.blocking import Connection
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

#: Where ``fedsiege serve`` has the simulator.
ADDRESS = "localhost:50052"
#: Default of the seconds within which the simulator must be reached and answer.
TIMEOUT = 30.0


class Client:
    """A client of a simulator, which ``fedsiege serve`` or ``make up`` starts.

    Use it as a context manager, or close it. The experiments that it returns work until then.

    Args:
        address: the simulator, ``host:port``.
        certs: the folder of a bundle with the role control, which ``fedsiege certs`` issues; None
            for a connection without encryption. A renewed bundle needs a new client.
        timeout: seconds, above 0, within which the simulator must be reached and answer.

    Raises:
        InvalidValue: the address has no port, the bundle is not valid, or the timeout is not
            above 0.
    """

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        certs: str | Path | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        tls = None
        if certs is not None:
            from fedsiege.services.identity.tls import Tls  # takes cryptography

            tls = Tls(Path(certs))
        self._connection = Connection(address, tls, timeout)
        self._stub = rpc.SimulatorServiceStub(self._connection.channel)

    def start(
        self, spec: ExperimentSpec | Mapping[str, Any] | None = None, **changes: Any
    ) -> Experiment:
        """Start an experiment, which waits for workers if there are too few.

        Args:
            spec: a specification, or settings by name; None for the defaults.
            changes: settings by name that take precedence.

        Raises:
            InvalidValue: a setting is unknown or not possible; the error says what is.
            Unreachable: if the connection was lost during the call, the experiment may have been
                started: ``experiments`` shows it.
        """
        message = _settings_message(spec, changes)
        self.workers()  # reaches the simulator: a start is not repeated
        request = pb.StartExperimentRequest(spec=message)
        call = self._stub.StartExperiment
        started = self._connection.call(call, request, repeatable=False)
        return Experiment(self._connection, started.experiment)

    def experiment(self, experiment_id: str = "") -> Experiment:
        """Return an experiment; without an id the newest.

        Raises:
            NotFound: the simulator has no such experiment.
        """
        request = pb.GetExperimentRequest(experiment_id=experiment_id, without_history=True)
        found = self._connection.call(self._stub.GetExperiment, request)
        return Experiment(self._connection, found.experiment)

    def experiments(self) -> list[Experiment]:
        """Return the experiments that the simulator remembers, newest first."""
        found: list[Experiment] = []
        request = pb.ListExperimentsRequest()
        while True:
            page = self._connection.call(self._stub.ListExperiments, request)
            found += [Experiment(self._connection, one) for one in page.experiments]
            request.page_token = page.next_page_token
            if not request.page_token or not page.experiments:
                return found

    def workers(self) -> list[Worker]:
        """Return the workers attached now, in order of arrival."""
        found = self._connection.call(self._stub.ListWorkers, pb.ListWorkersRequest())
        return [Worker.of(one) for one in found.workers]

    def close(self) -> None:
        """Close the connection; experiments go on without it."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._connection.address!r})"


def _settings_message(
    spec: ExperimentSpec | Mapping[str, Any] | None, changes: Mapping[str, Any]
) -> Struct:
    """Return settings as a message. The server checks them: it may know more of them.

    Raises:
        InvalidValue: a name or a value cannot be sent.
    """
    given = spec.model_dump(exclude_none=True) if isinstance(spec, ExperimentSpec) else spec or {}
    merged = {
        name: value if isinstance(value, bool | int | float | str | None) else str(value)
        for name, value in {**given, **changes}.items()
    }
    try:
        return settings.of(merged)
    except (TypeError, ValueError) as error:
        raise InvalidValue("spec", merged, "settings by name, numbers and texts") from error
