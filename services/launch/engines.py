"""The engines by name, and the fleet that an experiment needs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fedsiege.errors import InvalidValue
from fedsiege.experiment.faults import FaultPlan
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.services.launch.base import Fleet, Resources, WorkerSpec

#: The engine without containers: worker processes on this machine. "laptop" is its older name.
LOCAL = "local"
#: Engines that run containers.
NAMES = ("docker", "swarm")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)([kmg]?)b?", re.IGNORECASE)


@dataclass(frozen=True)
class Engine:
    """Which engine runs the workers in containers, and how.

    Attributes:
        name: one of ``NAMES``.
        per_container: benign participants that share a container, 1 or more.
        resources: what a container may use.
    """

    name: str
    per_container: int
    resources: Resources

    @classmethod
    def of(
        cls,
        name: str,
        image: str | None = None,
        per_container: int | None = None,
        memory: str | None = None,
        cpus: float | None = None,
    ) -> Self | None:
        """Return the engine that the options describe; None for the one without containers.

        Args:
            name: the engine.
            image: the image of all services; None for ``fedsiege:latest``.
            per_container: benign participants that share a container; None for 1.
            memory: of a client container: bytes, or with k, m or g; None for 1g.
            cpus: processors of a container; None for 1.

        Raises:
            InvalidValue: a value is out of its range, or is given for containers though the engine
                has none.
        """
        name = LOCAL if name == "laptop" else name
        if name not in (LOCAL, *NAMES):
            raise InvalidValue("ENGINE", name, f"one of {', '.join((LOCAL, *NAMES))}")
        given = {"IMAGE": image, "PER_CONTAINER": per_container, "MEMORY": memory, "CPUS": cpus}
        for variable, value in given.items():
            if name == LOCAL and value is not None:
                allowed = f"only with ENGINE={' or '.join(NAMES)}: {LOCAL} has no containers"
                raise InvalidValue(variable, value, allowed)
        image = "fedsiege:latest" if image is None else image
        per_container = 1 if per_container is None else per_container
        memory = "1g" if memory is None else memory
        cpus = 1.0 if cpus is None else cpus
        if per_container < 1:
            raise InvalidValue("PER_CONTAINER", per_container, "a whole number, 1 or more")
        found = _MEMORY.fullmatch(memory.strip())
        if found is None:
            raise InvalidValue("MEMORY", memory, "bytes, or with k, m or g: 512m")
        if not cpus >= 0.01:
            raise InvalidValue("CPUS", cpus, "a number of processors, 0.01 or more")
        if name == LOCAL:
            return None
        size = int(float(found[1]) * 1024 ** " kmg".index(found[2].lower() or " "))
        return cls(name, per_container, Resources(image, size, cpus))

    def fleet(self, spec: ExperimentSpec, data: Path) -> Fleet:
        """Return the fleet for an experiment; nothing is started.

        Raises:
            InvalidValue: the engine cannot make the faults that the experiment asks for.
        """
        # Imported late: runs without containers do not need Docker's SDK.
        from fedsiege.services.launch.docker import DockerFleet
        from fedsiege.services.launch.swarm import SwarmFleet

        kind: type[DockerFleet] | type[SwarmFleet]
        kind = DockerFleet if self.name == "docker" else SwarmFleet
        plan = FaultPlan.parse(spec.faults)
        if unable := sorted(fault for fault in plan.shares if fault not in kind.faults):
            allowed = f"ENGINE={self.name} cannot make these: {', '.join(unable)}; docker can"
            raise InvalidValue("FAULTS", spec.faults, allowed)
        return kind(container_workers(spec, self.per_container), self.resources, data)


def container_workers(spec: ExperimentSpec, per_container: int) -> list[WorkerSpec]:
    """Return the workers of an experiment: clients of even size, one attacker for all fakes.

    Args:
        spec: the experiment.
        per_container: the most benign participants in a container, 1 or more.
    """
    benign = spec.clients - spec.hostile
    count = -(-benign // per_container)
    digits = len(str(count))  # so that the order of the names is that of the numbers
    shares = [benign // count + (number < benign % count) for number in range(count)]
    clients = [
        WorkerSpec(f"client-{number:0{digits}d}", "client", share)
        for number, share in enumerate(shares, start=1)
    ]
    fakes = spec.identities
    return clients + ([WorkerSpec("attacker-1", "attacker", fakes)] if fakes else [])
