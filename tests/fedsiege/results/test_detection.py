"""What each detector's flags were worth, joined with the truth that only the simulator knows."""

from typing import Any

import pytest
import torch

from fedsiege import models, rules
from fedsiege.errors import UnfitRound
from fedsiege.results import Outcome, ParticipantRow, Standing, Verdict, detections
from fedsiege.results.detection import DetectionRow
from fedsiege.rules import RoundContext


def person(index: int, hostile: bool, outcome: Outcome, **more: Any) -> ParticipantRow:
    return ParticipantRow(index, f"w/{index}", hostile, 4, 1.0, outcome, False, **more)


@pytest.mark.parametrize(
    ("rule", "name"),
    [("krum:f=2", "selection"), ("nnm:f=2/krum:f=2", "selection"), ("nnm:f=2/auror", "rule")],
)
def test_a_rule_flags_those_without_weight_of_those_it_was_given(rule: str, name: str) -> None:
    """Not to be taken by Krum, which takes one, is no accusation, and has another name."""
    people = [
        person(0, True, Outcome.EXCLUDED, score=9.0),
        person(1, True, Outcome.ACCEPTED, score=2.0),
        person(2, False, Outcome.EXCLUDED, score=3.0),
        person(3, False, Outcome.ACCEPTED, score=1.0),
        person(4, False, Outcome.REJECTED),
        person(5, True, Outcome.MISSING),
        person(6, True, Outcome.NOT_SCHEDULED),
    ]
    assert detections(people, rule) == [DetectionRow(4, name, 0.5, 0.5, 0.5, 0.75)]


@pytest.mark.parametrize(
    ("rule", "area"), [("fltrust", 0.0), ("nnm:f=1/foolsgold:remember=9", 0.0), ("dnc:f=1", 1.0)]
)
def test_a_trust_ranks_the_other_way_round(rule: str, area: float) -> None:
    people = [
        person(0, True, Outcome.ACCEPTED, score=1.0),
        person(1, False, Outcome.ACCEPTED, score=0.0),
    ]
    assert detections(people, rule)[0].worth.auc == area


def test_an_audit_is_judged_by_all_that_were_taken_in_and_each_detector_by_its_verdicts() -> None:
    good, out = {"standing": Standing.GOOD}, {"standing": Standing.QUARANTINED}
    people = [
        person(0, True, Outcome.QUARANTINED, **out, verdicts=(Verdict("norm", 3.0, True),)),
        person(1, True, Outcome.ACCEPTED, **good, verdicts=(Verdict("norm", 0.2, False),)),
        person(2, False, Outcome.ACCEPTED, **good, verdicts=(Verdict("norm", 0.5, False),)),
        person(3, False, Outcome.EXCLUDED, **good),
    ]
    rule, audit, norm = detections(people, "median")
    assert rule == DetectionRow(4, "selection", 0.0, 0.5, 0.0, None)
    assert audit == DetectionRow(4, "audit", 0.5, 0.0, 1.0, None)
    assert norm == DetectionRow(4, "norm", 0.5, 0.0, 1.0, 0.5)


def test_without_an_audit_there_is_no_audit() -> None:
    people = [person(0, False, Outcome.ACCEPTED)]
    assert detections(people, "fedavg") == [DetectionRow(4, "selection", None, 0.0, None, None)]


def test_a_round_that_the_rule_could_not_aggregate_does_not_count_for_it() -> None:
    """It used to count as one that had excluded everyone: every detection rate was 100 %."""
    people = [person(i, i < 2, Outcome.NOT_AGGREGATED) for i in range(5)]
    assert detections(people, "krum:f=1") == []


def test_the_audit_of_a_round_without_an_aggregation_counts() -> None:
    said = {"standing": Standing.GOOD, "verdicts": (Verdict("norm", 3.0, True),)}
    people = [
        person(0, True, Outcome.NOT_AGGREGATED, **said),
        person(1, True, Outcome.QUARANTINED, standing=Standing.QUARANTINED),
        person(2, False, Outcome.NOT_AGGREGATED, standing=Standing.GOOD),
    ]
    assert detections(people, "krum:f=1") == [
        DetectionRow(4, "audit", 0.5, 0.0, 1.0, None),
        DetectionRow(4, "norm", 1.0, None, 1.0, None),
    ]


@pytest.mark.parametrize("people", [[], [person(0, True, Outcome.MISSING)]])
def test_a_round_without_updates_tells_nothing(people: list[ParticipantRow]) -> None:
    assert detections(people, "fedavg") == []


def test_the_scores_of_every_rule_rank_the_right_way() -> None:
    d, hostile = models.size("net"), 3
    updates = 1 + 0.3 * torch.randn(12, d, generator=torch.Generator().manual_seed(0))
    updates[:hostile] = 0.01 * updates[:hostile] - 3  # far off, and all alike
    context = RoundContext(model=torch.zeros(d), layout=models.layout("net"), architecture="net")
    seen = set()
    for name in set(rules.names()) - {"fedredefense"}:  # which takes seconds
        try:
            result = rules.create(name)(updates, context=context)
        except UnfitRound:
            continue  # needs root samples
        if result.scores is None:
            continue
        people = [
            person(i, i < hostile, Outcome.ACCEPTED, score=score)
            for i, score in enumerate(result.scores.tolist())
        ]
        area = detections(people, name)[0].worth.auc
        assert area is not None
        assert area >= 0.5, name
        seen.add(name)
    assert {"krum", "dnc", "foolsgold", "foundationfl", "layerguard"} <= seen
