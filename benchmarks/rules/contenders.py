"""The contenders: worker processes, one for each matrix, started when first needed."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples
from benchmarks.environments import OURS, Environment
from benchmarks.processes import Process, running
from benchmarks.rules.cases import Case, Size

OURS_NAME, TORCH, NUMPY, SORT = "FedSiege", "ByzFL torch", "ByzFL numpy", "numpy sort"
TIME, EXTRA = "time", "extra memory"
_KINDS = {OURS_NAME: "ours", TORCH: "torch", NUMPY: "numpy", SORT: "sort"}
_WORKER = Path(__file__).parent / "worker.py"
_START = 300.0
BYZFL = Environment("byzfl")


class Workers:
    """The worker processes for one matrix; a context manager that ends them.

    Args:
        size: the size of the matrix.
        limit: most seconds of one repetition of a case.
        threads: threads of each process.
        clock: ``wall``, or ``cpu`` for processor time.
        too_slow: the matrix for which a contender exceeded the limit, by contender and case. It is
            not run again for as many participants with more parameters. Entries are added here.
    """

    def __init__(
        self,
        size: Size,
        limit: float,
        threads: int,
        clock: str,
        too_slow: dict[tuple[str, str], Size] | None = None,
    ) -> None:
        self._size = size
        self._limit = limit
        self._threads = str(threads)
        self._clock = clock
        self._too_slow = {} if too_slow is None else too_slow
        self._running: dict[str, tuple[Process, ExitStack]] = {}
        self._asked: dict[str, int] = {}

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *problem: object) -> None:
        for name in list(self._running):
            self._end(name)

    def ask(self, name: str, case: Case) -> dict[str, Any]:
        """Run a case in a contender's worker; return its answer.

        Raises:
            ContenderError: it took too long or failed.
        """
        before = self._too_slow.get((name, case.title))
        if before is not None and before.n == self._size.n and before.d <= self._size.d:
            raise ContenderError(f"more than {self._limit:g} s at d={before.d}")
        process = self._worker(name)
        count = self._asked[name]
        self._asked[name] += 1
        assert process.child.stdin is not None
        process.child.stdin.write(f"{case.title}\n".encode())
        process.child.stdin.flush()
        try:
            answer: dict[str, Any] = json.loads(process.line(f"result {count} ", self._limit))
        except ContenderError:
            alive = process.child.poll() is None
            why = f"more than {self._limit:g} s" if alive else process.log_tail()
            if alive:
                self._too_slow[name, case.title] = self._size
            self._end(name)
            raise ContenderError(why) from None
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    def _worker(self, name: str) -> Process:
        if name not in self._running:
            python = OURS if name in (OURS_NAME, SORT) else BYZFL.python
            stack = ExitStack()
            size = f"{self._size.n}x{self._size.d}"
            command = [str(python), str(_WORKER), _KINDS[name], size, self._threads, self._clock]
            libraries = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
            process = stack.enter_context(running(command, dict.fromkeys(libraries, self._threads)))
            self._running[name] = process, stack
            self._asked[name] = 0
            process.line("ready", _START)
        return self._running[name][0]

    def _end(self, name: str) -> None:
        _, stack = self._running.pop(name)
        stack.close()


def benchmark(case: Case, size: Size, workers: Workers) -> Benchmark:
    """Return the benchmark of one rule on one matrix."""

    def contender(name: str) -> Contender:
        def measure(effort: Effort) -> Samples:
            answer = workers.ask(name, case)
            samples = {TIME: [1e3 * seconds for seconds in answer["seconds"]]}
            if name == OURS_NAME:
                samples[EXTRA] = [answer["extra"] / size.bytes]
            return samples

        return Contender(name, measure)

    names = [OURS_NAME, TORCH, NUMPY, *([SORT] if case.sorts else [])]
    claims = [
        Claim(f"{TORCH} ÷ ours", _ratio(TORCH, OURS_NAME), "x", at_least=5),
        Claim(f"{NUMPY} ÷ ours", _ratio(NUMPY, OURS_NAME), "x", at_least=1),
        Claim("extra memory ÷ input", lambda medians: medians[OURS_NAME, EXTRA], "x", at_most=0.5),
    ]
    if case.sorts:
        claims.append(Claim(f"ours ÷ {SORT}", _ratio(OURS_NAME, SORT), "x", at_most=3))
    return Benchmark(
        name=f"{case.title}, {size}",
        title=f"{case.title}, {size}",
        units={TIME: "ms", EXTRA: "x input"},
        contenders=[contender(name) for name in names],
        claims=claims,
    )


def _ratio(above: str, below: str) -> Callable[[Any], float]:
    return lambda medians: medians[above, TIME] / medians[below, TIME]
