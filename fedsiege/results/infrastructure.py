"""``containers.csv``, ``faults.csv`` and ``intrusions.csv``: what happened around the rounds."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from fedsiege.results.record import Column, Record, rounded


@dataclass(frozen=True)
class ContainerRow(Record):
    """One container at one moment; there is a row for each container and second."""

    file: ClassVar[str] = "containers.csv"

    seconds: Annotated[float, Column("Seconds since the first sample.", in_file=rounded(3))]
    round: Annotated[int, Column("The round that was opened last, 0 before any.")]
    container: Annotated[str, Column("Name of the container.")]
    state: Annotated[str, Column("Its state, as the container engine calls it.")]
    cpu_seconds: Annotated[
        float, Column("Processor seconds it has used since its first start.", in_file=rounded(6))
    ]
    memory: Annotated[
        int | None,
        Column(
            "Memory in bytes, without page cache that can be dropped; empty while the container "
            "does not run."
        ),
    ]
    memory_peak: Annotated[
        int, Column("The largest memory of all samples so far; a shorter peak is missed.")
    ]


@dataclass(frozen=True)
class FaultRow(Record):
    """One fault that was injected into a container."""

    file: ClassVar[str] = "faults.csv"

    round: Annotated[int, Column("Number of the round, 1 or more.")]
    container: Annotated[str, Column("Name of the container.")]
    participants: Annotated[
        str | None,
        Column(
            "Indices of its participants, separated by blanks; empty where the run ended before "
            "the round was recorded."
        ),
    ]
    fault: Annotated[str, Column("The fault: kill, pause or slow.")]
    seconds: Annotated[
        float, Column("Seconds from the opening of the round to the fault.", in_file=rounded(3))
    ]
    accepted: Annotated[
        int | None,
        Column(
            "Updates of the container that had weight all the same; empty where the run ended "
            "before the round was recorded."
        ),
    ]


@dataclass(frozen=True)
class IntrusionRow(Record):
    """The attempts of one intrusion."""

    file: ClassVar[str] = "intrusions.csv"

    intrusion: Annotated[str, Column("Name of the intrusion.")]
    tried: Annotated[int, Column("Attempts.")]
    succeeded: Annotated[int, Column("Attempts that succeeded.")]
    seconds: Annotated[float, Column("Seconds that they took together.", in_file=rounded(6))]
    per_second: Annotated[float, Column("Attempts a second that succeeded.", in_file=rounded(3))]
    refusals: Annotated[
        str,
        Column("How often each reason of a refusal was given: REASON:count, separated by blanks."),
    ] = ""
