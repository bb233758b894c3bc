"""The benchmark of the rules: equal input for all contenders, and failures in the table."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report as common
from benchmarks.contest import ContenderError, Effort, run
from benchmarks.rules import contenders, report
from benchmarks.rules.cases import CASES, Case, Size
from benchmarks.rules.contenders import NUMPY, OURS_NAME, SORT, TORCH, Workers, benchmark
from fedsiege import rules
from fedsiege.rules import pre
from tests.cases import each

SMALL = Size(20, 300)


@each("case", CASES.values())
def test_every_case_is_a_rule_of_ours(case: Case) -> None:
    text = case.name.format(f=4)
    step = pre.parse(text) if case.title in pre.names() else rules.parse(text)
    assert step.name == case.title


def test_every_contender_gets_the_same_matrix() -> None:
    assert np.array_equal(SMALL.updates(), SMALL.updates())
    assert SMALL.updates().shape == (20, 300)
    assert Size.of("100x1e5") == Size(100, 100_000)


def answers(kind: str, *cases: str) -> list[dict]:
    done = subprocess.run(
        [sys.executable, str(contenders._WORKER), kind, "20x300", "1", "cpu"],
        input="".join(f"{case}\n" for case in cases),
        capture_output=True,
        text=True,
        check=True,
    )
    ready, *lines = done.stdout.splitlines()
    assert ready == "ready"
    assert [line.split()[:2] for line in lines] == [["result", str(k)] for k in range(len(cases))]
    return [json.loads(line.split(maxsplit=2)[2]) for line in lines]


@pytest.mark.slow
def test_a_worker_measures_the_cases_it_reads() -> None:
    found = answers("ours", "krum", "nnm")
    assert all(one["seconds"] and min(one["seconds"]) > 0 for one in found)
    assert all(one["extra"] >= 0 for one in found)
    assert answers("sort", "median")[0]["seconds"]


class FakeWorkers(Workers):
    """Workers without processes; ByzFL with numpy runs out of memory."""

    def ask(self, name: str, case: Case) -> dict:
        if name == NUMPY:
            raise ContenderError("out of memory, with 16 GiB")
        seconds = {OURS_NAME: 0.001, TORCH: 0.004, SORT: 0.0005}[name]
        return {"seconds": [seconds, seconds], "extra": SMALL.bytes // 4}


@pytest.fixture
def written() -> report.Record:
    workers = FakeWorkers(SMALL, limit=1, threads=1, clock="cpu")
    outcomes = [
        run(benchmark(CASES[name], SMALL, workers), Effort(2), lambda line: None)
        for name in ("median", "krum")
    ]
    return report.as_record(outcomes, {"cores": "2"})


def test_the_table_shows_targets_not_met_and_failures(written: report.Record) -> None:
    [median] = [line for line in report.markdown(written).splitlines() if "| median," in line]
    cells = [cell.strip() for cell in median.split("|")[1:-1]]
    assert cells[0] == "median, n=20 d=300"
    assert cells[1:5] == ["2", "1.00", "4.00", "out of memory, with 16 GiB"]
    assert cells[5] == "**4.00 (4.00 .. 4.00)**"  # the target is 5
    assert cells[6] == "-"
    assert cells[7:] == ["2.00 (2.00 .. 2.00)", "0.250 (0.250 .. 0.250)", "**NOT MET**"]


def test_the_table_of_all_benchmarks_shows_the_rules_too(
    written: report.Record, tmp_path: Path
) -> None:
    report.write(tmp_path, written)
    common.write(tmp_path, [])
    table = (tmp_path / "table.md").read_text()
    assert "ByzFL torch ÷ ours, worst: median, n=20 d=300" in table
    assert json.loads((tmp_path / "rules.json").read_text())["cells"][0]["failures"] == {
        NUMPY: "out of memory, with 16 GiB"
    }


@pytest.fixture
def slow_at_krum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that never finish with krum."""
    (tmp_path / "worker.py").write_text(
        "import sys, time\n"
        "print('ready', flush=True)\n"
        "for count, line in enumerate(sys.stdin):\n"
        "    time.sleep(60 if line == 'krum\\n' else 0)\n"
        "    print('result', count, '{\"seconds\": [1]}', flush=True)\n"
    )
    monkeypatch.setattr(contenders, "_WORKER", tmp_path / "worker.py")


@pytest.mark.usefixtures("slow_at_krum")
def test_a_worker_that_takes_too_long_is_replaced() -> None:
    with Workers(SMALL, limit=0.5, threads=1, clock="cpu") as workers:
        assert workers.ask(OURS_NAME, CASES["median"]) == {"seconds": [1]}
        with pytest.raises(ContenderError, match=r"more than 0\.5 s"):
            workers.ask(OURS_NAME, CASES["krum"])
        assert workers.ask(OURS_NAME, CASES["median"]) == {"seconds": [1]}


@pytest.mark.usefixtures("slow_at_krum")
def test_a_slow_contender_is_not_run_again_with_more_parameters() -> None:
    too_slow: dict[tuple[str, str], Size] = {}
    with Workers(SMALL, 0.5, 1, "cpu", too_slow) as workers, pytest.raises(ContenderError):
        workers.ask(OURS_NAME, CASES["krum"])
    with Workers(Size(20, 400), 600.0, 1, "cpu", too_slow) as workers:
        with pytest.raises(ContenderError, match="at d=300"):
            workers.ask(OURS_NAME, CASES["krum"])
        assert workers.ask(OURS_NAME, CASES["median"]) == {"seconds": [1]}
    with (
        Workers(Size(10, 400), 0.4, 1, "cpu", too_slow) as workers,
        pytest.raises(ContenderError, match=r"more than 0\.4 s$"),
    ):
        workers.ask(OURS_NAME, CASES["krum"])
