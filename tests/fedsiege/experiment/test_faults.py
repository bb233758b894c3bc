"""Faults on purpose: what is asked for is what is drawn, the same every time."""

import subprocess
import sys
from collections import Counter

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment.faults import Fault, FaultPlan
from tests.cases import each

PLAN = FaultPlan.parse("kill:0.2,pause:0.1,slow:0.1")


def test_a_plan_is_read_as_it_is_written():
    assert {fault: float(share) for fault, share in PLAN.shares.items()} == {
        Fault.KILL: 0.2,
        Fault.PAUSE: 0.1,
        Fault.SLOW: 0.1,
    }
    assert FaultPlan.parse("slow: 1").shares == {Fault.SLOW: 1}


@pytest.mark.parametrize("text", ["", "kill:0", "kill:0,pause:0.0"])
def test_a_plan_may_be_empty(text):
    plan = FaultPlan.parse(text)
    assert not plan
    assert plan.draw(0, 1, 50) == []


@each(
    "text",
    [
        "kill",
        "kill:",
        "kill:some",
        "kill:1.5",
        "kill:-0.1",
        "kill:nan",
        "kill:1/0",
        "burn:0.1",
        "kill:0.1,",
        "kill:0.1,kill:0.1",
        "kill:0.6,pause:0.5",
    ],
)
def test_what_makes_no_sense_is_refused(text):
    with pytest.raises(InvalidValue, match=r"FAULTS=.*together at most 1"):
        FaultPlan.parse(text)


def test_shares_that_only_rounding_makes_too_many_are_fine():
    assert FaultPlan.parse("kill:0.1,pause:0.2,slow:0.7")


def test_the_shares_are_kept_and_nobody_is_struck_twice():
    for number in range(1, 30):
        strikes = PLAN.draw(7, number, 50)
        assert Counter(one.fault for one in strikes) == {"kill": 10, "pause": 5, "slow": 5}
        assert len({one.worker for one in strikes}) == 20
        assert all(0 <= one.worker < 50 and 0 <= one.moment < 1 for one in strikes)
        assert [one.moment for one in strikes] == sorted(one.moment for one in strikes)


@pytest.mark.parametrize(
    ("text", "workers", "counts"),
    [
        ("kill:0.2", 2, {}),
        ("kill:0.2", 3, {"kill": 1}),
        ("kill:0.29", 100, {"kill": 29}),
        ("kill:0.5,pause:0.5", 3, {"kill": 2, "pause": 1}),
        ("kill:1", 4, {"kill": 4}),
        ("kill:1", 0, {}),
    ],
)
def test_shares_are_rounded_half_up(text, workers, counts):
    assert Counter(s.fault for s in FaultPlan.parse(text).draw(0, 1, workers)) == counts


def test_the_draw_follows_from_seed_and_round_alone():
    assert PLAN.draw(3, 4, 50) == FaultPlan.parse("kill:0.2,pause:0.1,slow:0.1").draw(3, 4, 50)
    assert PLAN.draw(3, 4, 50) != PLAN.draw(3, 5, 50)
    assert PLAN.draw(3, 4, 50) != PLAN.draw(4, 4, 50)


def test_over_the_rounds_everybody_has_his_turn():
    struck = Counter(one.worker for number in range(1, 201) for one in PLAN.draw(0, number, 20))
    # 0.4 of 200 rounds each, standard deviation 7
    assert set(struck) == set(range(20))
    assert all(45 < count < 115 for count in struck.values())


def test_reading_a_plan_costs_no_torch():
    code = (
        "import sys; from fedsiege.experiment.faults import FaultPlan; FaultPlan.parse('kill:0.2');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
