"""Tests of the audit in a running federation: quarantine, probation, verdicts, log lines."""

import logging

import grpc
import numpy as np
import pytest
import torch

from fedsiege import detectors
from fedsiege.rules import Bulyan
from fedsiege.services.errors import Refusal
from fedsiege.v1 import aggregator_pb2 as pb
from tests.services.conftest import Federation

TERMS = "quarantine:term=2,cap=8,probation=2"


def noise(federation: Federation, number: int, count: int = 5) -> np.ndarray:
    """Return independent random updates of norm 0.01."""
    draw = np.random.default_rng(number).standard_normal((count, federation.size))
    return (draw / np.linalg.norm(draw, axis=1, keepdims=True) * 0.01).astype(np.float32)


async def a_round(federation: Federation, number: int, updates: np.ndarray) -> pb.AccuracyEntry:
    await federation.open(number)
    for index, update in enumerate(updates):
        await federation.submit(index, update, number)
    return await federation.closed(number)


async def listed(federation: Federation, number: int = 0) -> list[pb.Participant]:
    request = pb.ListParticipantsRequest(federation_id=federation.id, round=number)
    return list((await federation.stub.ListParticipants(request)).participants)


async def audited(create, text: str, count: int = 5, **fields: object) -> Federation:
    federation = await create(audit=text, **fields)
    await federation.enroll(count)
    return federation


@pytest.mark.parametrize("rule", ["fedavg", "median"])
async def test_quarantine_probation_and_longer_quarantine(create, caplog, rule):
    """Participant 4 sends updates of a large norm in rounds 1 and 4."""
    caplog.set_level(logging.INFO, "fedsiege.services.aggregator.auditing")
    federation = await audited(create, f"norm/{TERMS}", rule=rule)
    assert federation.described.spec.audit == detectors.spell(detectors.parse(f"norm/{TERMS}"))
    seen = []
    for number in range(1, 6):
        before = await federation.model()
        updates = noise(federation, number)
        if number in (1, 4):
            updates[4] *= 1e6
        entry = await a_round(federation, number, updates)
        assert np.linalg.norm(await federation.model() - before) < 0.02
        assert entry.problem == ""
        assert entry.updates + entry.quarantined == 5
        *others, last = await listed(federation)
        assert {(one.outcome, one.standing, one.flagged) for one in others} == {
            (pb.OUTCOME_ACCEPTED, pb.STANDING_GOOD, False)
        }
        assert [one.quarantines for one in others] == [0] * 4
        seen.append(
            (
                entry.quarantined,
                pb.Outcome.Name(last.outcome)[8:],
                last.flagged,
                pb.Standing.Name(last.standing)[9:],
                last.returns_in_round,
                last.quarantines,
            )
        )
    assert seen == [
        (1, "QUARANTINED", True, "QUARANTINED", 3, 1),
        (1, "QUARANTINED", False, "PROBATION", 0, 1),  # its term ends with this round
        (0, "ACCEPTED", False, "PROBATION", 0, 1),
        (1, "QUARANTINED", True, "QUARANTINED", 8, 2),  # at once, for twice as long
        (1, "QUARANTINED", False, "QUARANTINED", 8, 2),
    ]
    lines = [record.message for record in caplog.records]
    assert [line.split("norm")[0] for line in lines] == [
        "round 1: participant 4 (p4) is flagged by ",
        "round 3: participant 4 (p4) is back, on probation",
        "round 4: participant 4 (p4) is flagged by ",
    ]
    assert lines[0].endswith("in quarantine, returns in round 3")
    assert lines[2].endswith("in quarantine, returns in round 8")


async def test_a_return_to_good_standing_is_logged(create, caplog):
    caplog.set_level(logging.INFO, "fedsiege.services.aggregator.auditing")
    federation = await audited(create, "norm/quarantine:term=1,probation=1")
    for number in (1, 2):
        updates = noise(federation, number)
        if number == 1:
            updates[0] *= 1e6
        await a_round(federation, number, updates)
    assert caplog.records[-1].message == "round 2: participant 0 (p0) is back, on probation"
    assert (await listed(federation))[0].standing == pb.STANDING_GOOD
    await a_round(federation, 3, noise(federation, 3))
    assert len(caplog.records) == 2


async def test_a_flag_on_return_is_logged_after_the_return(create, caplog):
    caplog.set_level(logging.INFO, "fedsiege.services.aggregator.auditing")
    federation = await audited(create, "norm/quarantine:term=1,probation=1")
    for number in (1, 2):
        updates = noise(federation, number)
        updates[0] *= 1e6
        await a_round(federation, number, updates)
    assert [record.message.split("norm")[0] for record in caplog.records] == [
        "round 1: participant 0 (p0) is flagged by ",
        "round 2: participant 0 (p0) is back, on probation",
        "round 2: participant 0 (p0) is flagged by ",
    ]


async def test_every_detector_reports_its_verdict(create):
    federation = await audited(create, "norm/duplicate/history/fixed-point/layers", 6)
    target = noise(federation, 99)[0] * 1e4
    for number in (1, 2, 3):
        updates = noise(federation, number, 6)
        updates[1:3] = target - await federation.model()
        await a_round(federation, number, updates)
    for number, fixed_point in ((1, False), (3, True)):
        people = await listed(federation, number)
        for index, one in enumerate(people):
            assert [v.detector for v in one.verdicts] == [
                "norm",
                "duplicate",
                "history",
                "fixed-point",
                "layers",
            ]
            verdicts = {v.detector: v for v in one.verdicts}
            assert all(v.flagged == (v.score >= 1) for v in one.verdicts)
            fake = index in (1, 2)
            assert one.flagged == fake
            for name in ("norm", "duplicate"):
                assert verdicts[name].flagged == fake
            assert verdicts["fixed-point"].flagged == (fake and fixed_point)


async def test_unscheduled_participants_have_a_standing(create):
    federation = await audited(create, f"norm/{TERMS}")
    updates = noise(federation, 1)
    updates[4] *= 1e6
    await a_round(federation, 1, updates)
    await federation.open(2, indices=[0, 1, 2])
    for index in range(3):
        await federation.submit(index, noise(federation, 2)[index], 2)
    await federation.closed(2)
    last = (await listed(federation))[4]
    assert (last.outcome, last.standing) == (pb.OUTCOME_NOT_SCHEDULED, pb.STANDING_PROBATION)
    assert (last.quarantines, len(last.verdicts)) == (1, 0)
    first = (await listed(federation, 1))[4]
    assert (first.standing, first.returns_in_round) == (pb.STANDING_QUARANTINED, 3)


async def test_missing_and_quarantined_rows_are_both_left_out(create):
    """Of six, 0 sends nothing and 3 is in quarantine: the mean is that of 1, 2, 4 and 5."""
    federation = await audited(create, "norm", 6)
    before = await federation.model()
    updates = noise(federation, 1, 6)
    updates[3] *= 1e6
    await federation.open(1, threshold=5)
    for index in (5, 3, 1, 4, 2):
        await federation.submit(index, updates[index], 1, num_samples=index)
    entry = await federation.closed(1)
    assert (entry.updates, entry.quarantined) == (4, 1)
    moved = await federation.model() - before
    np.testing.assert_allclose(moved, updates[[1, 2, 4, 5]].mean(axis=0), atol=1e-6)
    assert [one.outcome for one in await listed(federation)] == [
        pb.OUTCOME_MISSING,
        pb.OUTCOME_ACCEPTED,
        pb.OUTCOME_ACCEPTED,
        pb.OUTCOME_QUARANTINED,
        pb.OUTCOME_ACCEPTED,
        pb.OUTCOME_ACCEPTED,
    ]


async def test_scores_belong_to_the_participants_the_rule_got(create):
    federation = await audited(create, "norm", rule="krum:f=0")
    updates = noise(federation, 1)
    updates[1] *= 1e6
    await a_round(federation, 1, updates)
    people = await listed(federation)
    assert [one.HasField("score") for one in people] == [True, False, True, True, True]
    assert all(one.HasField("norm") for one in people)


async def test_a_detector_that_flags_too_many_quarantines_no_majority(create, caplog, monkeypatch):
    def flag_three(self, updates, context, state):
        return torch.tensor([3.0, 0, 3, 3, 0], dtype=torch.float64), None

    monkeypatch.setattr(detectors.Norm, "judge", flag_three)
    caplog.set_level(logging.INFO, "fedsiege.services.aggregator.auditing")
    federation = await audited(create, "norm")
    entry = await a_round(federation, 1, noise(federation, 1))
    assert (entry.updates, entry.quarantined, entry.problem) == (5, 0, "")
    people = await listed(federation)
    assert [one.verdicts[0].score for one in people] == [3, 0, 3, 3, 0]
    assert not any(one.flagged or one.verdicts[0].flagged for one in people)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message == "round 1: audit: norm flagged 3 of 5, and is not believed"


async def test_if_all_updates_are_quarantined_the_model_is_kept(create):
    federation = await audited(create, f"norm/{TERMS}")
    updates = noise(federation, 1)
    updates[4] *= 1e6
    await a_round(federation, 1, updates)
    before = await federation.model()
    await federation.open(2, indices=[4])
    await federation.submit(4, noise(federation, 2)[4], 2)
    entry = await federation.closed(2)
    assert entry.problem == "the audit quarantined all updates (1); the model is kept"
    assert (entry.updates, entry.quarantined) == (0, 1)
    np.testing.assert_array_equal(await federation.model(), before)
    await a_round(federation, 3, noise(federation, 3))
    assert (await listed(federation))[4].outcome == pb.OUTCOME_ACCEPTED


async def test_a_failing_detector_ends_the_round_and_is_reported(create, monkeypatch):
    def fail(self, updates, context, state):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(detectors.Norm, "judge", fail)
    federation = await audited(create, "norm")
    before = await federation.model()
    entry = await a_round(federation, 1, noise(federation, 1))
    assert entry.problem.startswith("audit norm:")
    assert "failed (a bug); the model is kept" in entry.problem
    np.testing.assert_array_equal(await federation.model(), before)
    assert {one.standing for one in await listed(federation)} == {pb.STANDING_UNSPECIFIED}


async def test_a_round_without_updates_is_audited(create):
    federation = await audited(create, "norm/duplicate")
    await federation.open(1, deadline=0.2)
    entry = await federation.closed(1)
    assert "model is kept" in entry.problem
    assert {one.standing for one in await listed(federation)} == {pb.STANDING_GOOD}


@pytest.mark.parametrize("rule", ["fedavg", "median", "krum:f=1"])
async def test_without_an_audit_there_are_no_verdicts(create, rule):
    """An audit that flags no participant changes no bit of the model either."""
    models = []
    for text in ("", "norm/duplicate"):
        federation = await audited(create, text, rule=rule)
        for number in (1, 2):
            entry = await a_round(federation, number, noise(federation, number))
            assert (entry.updates, entry.quarantined) == (5, 0)
        models.append(await federation.model())
        for one in await listed(federation):
            assert len(one.verdicts) == (2 if text else 0)
            assert one.standing == (pb.STANDING_GOOD if text else pb.STANDING_UNSPECIFIED)
            assert not one.flagged
    assert models[0].tobytes() == models[1].tobytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nrom", "did you mean norm"),
        ("norm/fixedpoint", "did you mean fixed-point"),
        ("norm:z=0", "norm:z"),
        ("norm/norm", "each detector once"),
    ],
)
async def test_an_invalid_audit_is_refused(create, text, said):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(audit=text)
    found = Refusal.of(caught.value)
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT
    assert said in found.message


async def test_quarantine_lowers_f_so_that_the_rule_can_run(create, caplog):
    """Bulyan with f=2 needs 11 updates. With two of 11 in quarantine it runs with f=1."""
    caplog.set_level(logging.INFO, "fedsiege.services.aggregator.federation")
    federation = await audited(create, f"norm/{TERMS}", 11, rule="bulyan:f=2")
    updates = noise(federation, 1, 11)
    updates[[3, 7]] *= 1e6
    before = await federation.model()
    entry = await a_round(federation, 1, updates)
    assert (entry.quarantined, entry.updates, entry.problem) == (2, 9, "")
    moved = await federation.model() - before
    left = torch.from_numpy(np.delete(updates, [3, 7], axis=0))
    np.testing.assert_allclose(moved, Bulyan(f=1)(left).update.numpy(), atol=1e-6)
    assert "round 1: 2 in quarantine: bulyan:f=1" in caplog.messages


async def test_too_few_updates_after_quarantine_are_reported(create):
    """Only two updates arrive, and one of them is in quarantine."""
    federation = await audited(create, f"norm/{TERMS}", 5, rule="krum:f=1")
    updates = noise(federation, 1)
    updates[4] *= 1e6
    await a_round(federation, 1, updates)
    await federation.open(2, deadline=0.3)
    for index in (3, 4):
        await federation.submit(index, noise(federation, 2)[index], 2)
    entry = await federation.closed(2)
    assert entry.problem.startswith("krum with f=1 needs at least 2f + 3 = 5 updates, there are 1")
