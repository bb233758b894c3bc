"""Contenders take turns, and a claim is judged within each turn."""

import dataclasses

import pytest

from benchmarks.contest import Benchmark, Claim, Contender, ContenderError, Effort, Samples, run

RATIO = Claim("peer / ours", lambda medians: medians["peer", "t"] / medians["ours", "t"], "x", 2.0)
OWN = Claim("ours", lambda medians: medians["ours", "t"], "s", at_most=1.0)


def benchmark(*contenders: Contender) -> Benchmark:
    return Benchmark("name", "Title", {"t": "s"}, contenders, [RATIO, OWN])


def contender(name: str, *repetitions: list[float]) -> Contender:
    remaining = iter(repetitions)

    def measure(effort: Effort) -> Samples:
        values = next(remaining)
        if not values:
            raise ContenderError(f"{name} failed")
        return {"t": values}

    return Contender(name, measure)


def ignore(line: str) -> None:
    pass


def test_contenders_take_turns() -> None:
    order = []

    def recording(name: str) -> Contender:
        def measure(effort: Effort) -> Samples:
            order.append(name)
            return {"t": [1.0]}

        return Contender(name, measure)

    run(benchmark(recording("peer"), recording("ours")), Effort(repeats=3), ignore)

    assert order == ["peer", "ours"] * 3


def test_some_benchmarks_are_not_repeated() -> None:
    once = dataclasses.replace(benchmark(contender("ours", [1.0], [2.0])), most_repeats=1)

    assert run(once, Effort(repeats=2), ignore).samples("ours", "t") == [1.0]


def test_the_time_limit_ends_repetitions_after_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 4.0, 11.0])  # when it begins, before the second and the third turn
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    one = benchmark(contender("ours", [1.0], [2.0], [3.0]))
    lines: list[str] = []
    outcome = run(one, Effort(repeats=3, seconds=10.0), lines.append)
    assert outcome.samples("ours", "t") == [1.0, 2.0]
    assert lines[-1] == "name: no more repetitions, 10 s have passed"


def test_a_claim_compares_medians_within_each_repetition() -> None:
    peer = contender("peer", [4.0, 100.0, 4.0], [30.0])
    ours = contender("ours", [1.0, 2.0, 3.0], [10.0])

    outcome = run(benchmark(peer, ours), Effort(repeats=2), ignore)

    assert outcome.figures(RATIO) == [2.0, 3.0]
    assert outcome.samples("peer", "t") == [4.0, 100.0, 4.0, 30.0]


def test_a_contender_that_fails_stops_and_the_others_go_on() -> None:
    lines: list[str] = []

    outcome = run(
        benchmark(contender("peer", [4.0], []), contender("ours", [1.0], [2.0], [3.0])),
        Effort(repeats=3),
        lines.append,
    )

    assert outcome.failures == {"peer": "peer failed"}
    assert outcome.figures(RATIO) == [4.0]
    assert outcome.figures(OWN) == [1.0, 2.0, 3.0]
    assert any("peer failed: peer failed" in line for line in lines)


def test_a_contender_that_cannot_be_prepared_is_left_out() -> None:
    def prepare() -> None:
        raise ContenderError("no network")

    peer = Contender("peer", lambda effort: pytest.fail("was run"), prepare)

    outcome = run(benchmark(peer, contender("ours", [1.0])), Effort(repeats=1), ignore)

    assert outcome.failures == {"peer": "no network"}
    assert outcome.figures(RATIO) == []


@pytest.mark.parametrize(
    ("bounds", "value", "holds"),
    [
        ({"at_least": 10.0}, 10.0, True),
        ({"at_least": 10.0}, 9.99, False),
        ({"at_most": 4.0}, 4.0, True),
        ({"at_most": 4.0}, 4.01, False),
        ({"at_least": 1.0}, float("nan"), False),
    ],
)
def test_bounds_are_inclusive(bounds: dict[str, float], value: float, holds: bool) -> None:
    assert Claim("", lambda medians: 0.0, "s", **bounds).holds(value) is holds


def test_quick_effort_takes_the_smaller_amount() -> None:
    assert Effort(3).of(usual=30, quick=5) == 30
    assert Effort(1, quick=True).of(usual=30, quick=5) == 5
