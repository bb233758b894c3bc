"""The command line of the benchmarks, and the parts of it that need no peer."""

import sys

import pytest

from benchmarks.__main__ import BENCHMARKS, chosen
from benchmarks.processes import last_json
from fedsiege.errors import InvalidValue


def test_all_are_chosen_by_default() -> None:
    assert chosen("") == list(BENCHMARKS.values())


def test_some_can_be_chosen() -> None:
    assert [one.name for one in chosen("pull, rounds")] == ["pull", "rounds"]


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidValue, match=r"only='speed'.*rounds, training-rounds, pull"):
        chosen("rounds,speed")


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda one: one.name)
def test_every_claim_has_one_bound_and_needs_only_what_is_measured(benchmark) -> None:
    everything = {
        (contender.name, measure): 1.0
        for contender in benchmark.contenders
        for measure in benchmark.units
    }
    assert benchmark.claims
    for claim in benchmark.claims:
        assert (claim.at_least is None) != (claim.at_most is None)
        assert isinstance(claim.figure(everything), float)


def test_raw_copy_reports_each_copy() -> None:
    command = [sys.executable, "-m", "benchmarks.raw_copy", "--mebibytes=1", "--copies=3"]
    speeds = last_json(command, timeout=30)["mebibytes_per_second"]
    assert len(speeds) == 3
    assert all(speed > 0 for speed in speeds)
