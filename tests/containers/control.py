"""Calls to a federation in containers, made with buf curl by reflection, as a user would."""

import abc
import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
BUF = shutil.which("buf") or str(ROOT / "node_modules/.bin/buf")
#: Most seconds to wait for a condition.
PATIENCE = 90.0


class Control(abc.ABC):
    """The services of one federation."""

    @abc.abstractmethod
    def run(self, *command: str) -> str:
        """Run a command where the services can be reached; return what it printed."""

    @abc.abstractmethod
    def address(self, service: str) -> str:
        """Return the ``host:port`` of a server for commands of ``run``."""

    @property
    def bundle(self) -> Path | None:
        """The folder of the certificate to use; None for no TLS."""
        return None

    def call(self, method: str, **request: object) -> dict[str, Any]:
        """Call a method, such as ``SimulatorService/ListWorkers``, and return its response."""
        service = "simulator" if method.startswith("SimulatorService") else "aggregator"
        shown, scheme = ["--http2-prior-knowledge"], "http"
        if self.bundle is not None:
            files = {"cacert": "ca", "cert": "certificate", "key": "key"}
            shown = [f"--{option}={self.bundle / name}.pem" for option, name in files.items()]
            scheme = "https"
        url = f"{scheme}://{self.address(service)}/fedsiege.v1.{method}"
        curl = [BUF, "curl", "--protocol", "grpc", *shown]
        # protobuf's JSON leaves out fields with their default value
        return json.loads(self.run(*curl, "--data", json.dumps(request), url))

    def workers(self) -> list[str]:
        listed = self.call("SimulatorService/ListWorkers").get("workers", [])
        return [worker["worker"] for worker in listed]

    def start(self, **spec: object) -> str:
        started = self.call("SimulatorService/StartExperiment", spec=spec)
        return started["experiment"]["experimentId"]

    def cancel(self, experiment_id: str) -> None:
        self.call("SimulatorService/CancelExperiment", experiment_id=experiment_id)

    def experiment(self, experiment_id: str) -> dict[str, Any]:
        answer = self.call("SimulatorService/GetExperiment", experiment_id=experiment_id)
        return answer["experiment"]

    def first(self) -> dict[str, Any]:
        """Return the experiment that the simulator started by itself; empty before it starts."""
        listed = self.call("SimulatorService/ListExperiments").get("experiments", [])
        return self.experiment(listed[-1]["experimentId"]) if listed else {}

    def history(self, experiment_id: str) -> list[dict[str, Any]]:
        return self.experiment(experiment_id).get("historicalAccuracy", [])

    def updates(self, experiment_id: str) -> int:
        """Return the number of updates in the last round."""
        history = self.history(experiment_id)
        return history[-1].get("updates", 0) if history else 0

    def participants(self, experiment_id: str) -> list[dict[str, Any]]:
        federation_id = self.experiment(experiment_id)["federationId"]
        listed = self.call("AggregatorService/ListParticipants", federation_id=federation_id)
        return listed.get("participants", [])

    def enrolled(self, experiment_id: str) -> dict[str, int]:
        """Return the participant index of each identity enrolled in an experiment."""
        enrolled = self.participants(experiment_id)
        return {one["identity"]: one.get("participantIndex", 0) for one in enrolled}
