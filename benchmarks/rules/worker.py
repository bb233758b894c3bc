"""A worker process that holds one matrix and runs rules on it.

``python worker.py (ours|torch|numpy|sort) 100x1e5 THREADS (wall|cpu)`` reads one case per line, and
prints ``result COUNT {json}`` for each: the seconds of each call or an error, and for our rules the
bytes that one call takes beyond the matrix and its result. ``ours`` and ``sort`` run in our
environment, the others in ByzFL's.
"""

import ctypes
import json
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from benchmarks.rules import peer
from benchmarks.rules.cases import CASES, Case, Size

#: The address space of a worker, so that it fails before the machine runs out of memory.
LIMIT_GIB = 16
_THREADS = int(sys.argv[3])
_CLOCK = {"wall": time.perf_counter, "cpu": time.process_time}[sys.argv[4]]
#: A repetition calls a rule until this many seconds have passed, at most this many times.
_SECONDS, _MOST_CALLS = 0.5, 7
#: Calls in the first seconds are a warm-up and not counted, unless the first takes this long.
_WARM_UP, _LONG = 0.2, 2.0
#: Number of warm-up calls if the first takes less than this: a virtual machine gets memory at the
#: first write, at a tenth of the speed, and large results change their address for some calls.
_WARM_UP_CALLS, _SHORT = 5, 0.6
_SORTED_BLOCK = 2**18

Call = Callable[[Any], Any]


def main() -> None:
    """Read and run cases until the input ends."""
    kind, size = sys.argv[1], Size.of(sys.argv[2])
    rows = size.updates()
    prepare = {"ours": _ours, "sort": _sort, "torch": _byzfl, "numpy": _byzfl}[kind]
    call_of = prepare(rows, kind)
    gib = 2**30
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_GIB * gib, LIMIT_GIB * gib))
    print("ready", flush=True)
    for count, line in enumerate(sys.stdin):
        case = CASES[line.strip()]
        try:
            fresh, call = call_of(case)
            answer: dict[str, Any] = {"seconds": _seconds(fresh, call)}
            if kind == "ours":
                answer["extra"] = _extra(fresh, call)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            answer = {"error": f"out of memory, with {LIMIT_GIB} GiB"}
        print(f"result {count} {json.dumps(answer)}", flush=True)


def _seconds(fresh: Callable[[], Any], call: Call) -> list[float]:
    """Call a rule several times, each on the original input; return the seconds of each call."""

    def once() -> float:
        argument = fresh()
        start = _CLOCK()
        call(argument)
        return _CLOCK() - start

    began = time.perf_counter()
    first = once()
    if first >= _LONG:
        return [first]
    # The first calls start threads, load libraries and allocate memory, and the processor's caches
    # and clock must recover from the contender before.
    for _ in range(_WARM_UP_CALLS - 1 if first < _SHORT else 0):
        once()
    while time.perf_counter() - began < _WARM_UP:
        once()
    began = time.perf_counter()
    seconds = [once()]
    while time.perf_counter() - began < _SECONDS and len(seconds) < _MOST_CALLS:
        seconds.append(once())
    return seconds


def _extra(fresh: Callable[[], Any], call: Call) -> int:
    """Return the peak of bytes that a call takes beyond its input and its result."""
    argument = fresh()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status("VmRSS")
    result = call(argument)
    return max(0, _status("VmHWM") - before - int(result.nbytes))


def _status(key: str) -> int:
    """Return a value in bytes from /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def _ours(rows: Any, kind: str) -> Callable[[Case], tuple[Callable[[], Any], Call]]:
    """Prepare our own rules."""
    import torch

    from fedsiege import rules
    from fedsiege.rules import RoundContext, pre
    from fedsiege.services.rpc.process import tune_allocator

    tune_allocator()  # as the aggregator does, in which rules run
    torch.set_num_threads(_THREADS)
    updates = torch.from_numpy(rows)
    f = len(rows) // 5

    def call_of(case: Case) -> tuple[Callable[[], Any], Call]:
        text = case.name.format(f=f)
        if case.title in pre.names():
            step = pre.parse(text).for_participants(len(rows), f)
            return lambda: updates, lambda given: step.transform(given, RoundContext()).rows
        rule = rules.parse(text)
        return lambda: updates, lambda given: rule(given).update

    return call_of


def _byzfl(rows: Any, kind: str) -> Callable[[Case], tuple[Callable[[], Any], Call]]:
    """Prepare ByzFL's rules, for torch tensors or numpy arrays."""
    import torch

    byzfl = peer.load()
    torch.set_num_threads(_THREADS)
    updates: Any = torch.from_numpy(rows) if kind == "torch" else rows
    f = len(rows) // 5

    def call_of(case: Case) -> tuple[Callable[[], Any], Call]:
        arguments = [f if argument == "f" else argument for argument in case.arguments]

        def call(given: Any) -> Any:
            return getattr(byzfl, case.peer)(*arguments)(given)

        def call_on_copy(given: Any) -> Any:
            return call(given.clone() if kind == "torch" else given.copy())

        # These two write into their input, so that a caller that needs it must copy it first.
        return lambda: updates, call_on_copy if case.peer in ("Clipping", "ARC") else call

    return call_of


def _sort(rows: Any, kind: str) -> Callable[[Case], tuple[Callable[[], Any], Call]]:
    """Prepare the reference: numpy's float32 sort of every column, in blocks, on all threads."""
    n, d = rows.shape
    width = max(1, _SORTED_BLOCK // n)

    def sort(start: int) -> None:
        np.ascontiguousarray(rows[:, start : start + width].T).sort(axis=1)

    def call(given: Any) -> Any:
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(sort, range(0, d, width)))
        return given[0]

    return lambda case: (lambda: rows, call)


if __name__ == "__main__":
    main()
