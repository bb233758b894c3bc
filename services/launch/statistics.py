"""Processor time and memory of the containers, over time and in total.

``containers.csv`` has one row per container and second: the seconds since the first sample, the
round that was opened last, the container, its state as the engine calls it, the processor seconds
it has used since the beginning, and its memory now and at most so far, in bytes. Memory leaves out
page cache that can be dropped; a peak between two samples is missed. Figures are absent while a
container does not run.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fedsiege.results import ContainerRow
from fedsiege.results.table import Table
from fedsiege.services.launch.base import Sample

_MIB = 1 << 20


@dataclass(frozen=True)
class Usage:
    """What one container has used so far.

    Attributes:
        before: processor seconds before its last restart, as far as sampled.
        now: processor seconds since its last restart.
        peak: the highest sampled memory, in bytes.
    """

    before: float = 0.0
    now: float = 0.0
    peak: int = 0

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds over all restarts."""
        return self.before + self.now

    def plus(self, sample: Sample) -> "Usage":
        """Return the usage with one more sample."""
        if sample.cpu_seconds is None or sample.memory is None:
            return self
        # A count below the last one means that the container was started again.
        again = sample.cpu_seconds < self.now
        return replace(
            self,
            before=self.before + (self.now if again else 0.0),
            now=sample.cpu_seconds,
            peak=max(self.peak, sample.memory),
        )


class Statistics:
    """Adds up samples and writes them to a table.

    Args:
        table: the file of the table.
    """

    def __init__(self, table: Path) -> None:
        self._table = Table(table, ContainerRow)
        self._usage: dict[str, Usage] = {}

    def add(self, seconds: float, round_number: int, samples: Iterable[Sample]) -> None:
        """Add one sample of all containers."""
        rows = []
        for one in samples:
            usage = self._usage[one.container] = self._usage.get(one.container, Usage()).plus(one)
            rows.append(
                ContainerRow(
                    seconds,
                    round_number,
                    one.container,
                    one.state,
                    usage.cpu_seconds,
                    one.memory,
                    usage.peak,
                )
            )
        self._table.append(rows)

    def summary(self) -> str:
        """Return a line with the containers' use of memory and processor; empty without samples."""
        seen = [usage for usage in self._usage.values() if usage.peak]
        if not seen:
            return ""
        peaks = [usage.peak / _MIB for usage in seen]
        cpu = sum(usage.cpu_seconds for usage in seen)
        return (
            f"{len(seen)} containers: memory {statistics.median(peaks):.0f} MiB in the median, "
            f"{max(peaks):.0f} MiB at most, {sum(peaks) / 1024:.1f} GiB together; "
            f"CPU {cpu:.1f} s together"
        )

    def close(self) -> None:
        """Close the table."""
        self._table.close()
