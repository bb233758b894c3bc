"""The use of containers is added up over restarts."""

import csv

from fedsiege.services.launch.base import Sample
from fedsiege.services.launch.statistics import Statistics

MIB = 1 << 20


def test_processor_time_and_peak_go_on_after_a_restart(tmp_path):
    statistics = Statistics(tmp_path / "containers.csv")
    samples = [
        Sample("client-1", "running", 1.0, 10 * MIB),
        Sample("client-1", "running", 3.0, 30 * MIB),
        Sample("client-1", "exited"),
        Sample("client-1", "running", 0.5, 5 * MIB),
        Sample("client-1", "paused", 0.75, 5 * MIB),
    ]
    for number, sample in enumerate(samples):
        statistics.add(number + 0.25, number, [sample])
    statistics.close()
    rows = list(csv.DictReader((tmp_path / "containers.csv").read_text().splitlines()))
    assert [float(row["cpu_seconds"]) for row in rows] == [1.0, 3.0, 3.0, 3.5, 3.75]
    assert [row["memory"] for row in rows[1:4]] == [str(30 * MIB), "", str(5 * MIB)]
    assert [int(row["memory_peak"]) // MIB for row in rows] == [10, 30, 30, 30, 30]
    assert [row["state"] for row in rows[1:]] == ["running", "exited", "running", "paused"]
    assert [row["seconds"] for row in rows[:2]] == ["0.25", "1.25"]
    assert [row["round"] for row in rows[:2]] == ["0", "1"]


def test_the_summary_shows_the_peaks(tmp_path):
    statistics = Statistics(tmp_path / "containers.csv")
    assert statistics.summary() == ""
    peaks = {"client-1": 100, "client-2": 120, "client-3": 804}
    statistics.add(0, 0, [Sample(name, "running", 2.5, peak * MIB) for name, peak in peaks.items()])
    statistics.add(1, 0, [Sample(name, "running", 2.5, MIB) for name in peaks])
    statistics.close()
    assert statistics.summary() == (
        "3 containers: memory 120 MiB in the median, 804 MiB at most, 1.0 GiB together; "
        "CPU 7.5 s together"
    )
