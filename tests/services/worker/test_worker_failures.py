"""Tests of a worker when an update, a connection, the aggregator or a participant fails."""

import asyncio
from functools import partial

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.services.errors import Duplicate, Malformed, NotFound, WrongState
from tests.services.worker.stage import SIZE, lose, refuse


async def test_refusals_are_counted_and_the_first_is_reported(scene):
    scene.aggregator.before = partial(refuse, 4, Malformed("NOT_FINITE", "a NaN at position 3"))
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused) == (2, 1)
    assert report.problem == "INVALID_ARGUMENT: a NaN at position 3"
    assert report.late == 0
    assert scene.aggregator.submissions == [2, 4, 5], "what can never be right is not tried again"


async def test_a_lost_connection_is_retried(scene):
    scene.aggregator.before = partial(lose, {2: 3, 5: 1})
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused, report.problem) == (3, 0, "")
    assert scene.aggregator.streams == 2 + 4


async def test_an_update_with_a_lost_receipt_counts_as_submitted(scene):
    scene.aggregator.after = partial(lose, {4: 1})
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused, report.problem) == (3, 0, "")
    assert scene.aggregator.submissions == [2, 4, 2, 4, 5]


async def test_a_duplicate_of_another_sender_is_a_refusal(scene):
    scene.aggregator.before = partial(refuse, 4, Duplicate("DUPLICATE_UPDATE", "somebody did"))
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused) == (2, 1)
    assert "somebody did" in report.problem


async def test_retries_end_at_the_deadline(scene):
    scene.aggregator.before = partial(lose, {5: 1_000_000})
    line = await scene.simulator.joined()
    line.take_part(1, deadline=0.2)
    report = await line.hear("round_report")
    assert report.refused >= 1
    assert report.submitted + report.refused == 3
    assert report.problem
    assert (1, 5) not in scene.aggregator.taken


async def test_a_silent_aggregator_is_abandoned_at_the_deadline(scene):
    async def never(header):
        await asyncio.Event().wait()

    scene.aggregator.before = never
    line = await scene.simulator.joined()
    line.take_part(1, deadline=0.2)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused) == (0, 3)
    assert "DEADLINE_EXCEEDED" in report.problem


async def test_a_closed_round_is_reported_as_late(scene):
    scene.aggregator.model_error = WrongState("STALE_ROUND", "round 1 takes no more updates")
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused, report.late) == (0, 3, 3)
    assert report.problem == "FAILED_PRECONDITION: round 1 takes no more updates"


async def test_updates_after_the_round_has_closed_are_late(scene):
    refusals = {
        2: WrongState("ROUND_CLOSED", "round 1 is closed"),
        5: Malformed("NOT_FINITE", "a NaN at position 3"),
    }

    async def close(header):
        if error := refusals.get(header.participant_index):
            raise error

    scene.aggregator.before = close
    line = await scene.simulator.joined()
    line.take_part(1)
    report = await line.hear("round_report")
    assert (report.submitted, report.refused, report.late) == (1, 2, 1)
    assert report.problem == "INVALID_ARGUMENT: a NaN at position 3", "what is news comes first"


async def test_a_refused_model_is_reported(scene):
    scene.aggregator.model_error = NotFound("UNKNOWN_FEDERATION", "there is no federation 'f'")
    line = await scene.simulator.joined()
    line.take_part(1)
    failure = await line.hear("failure")
    assert failure.problem == "the aggregator refused: NOT_FOUND: there is no federation 'f'"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InvalidValue("momentum", 3, "below 1"), "momentum=3 is not possible: below 1"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
@pytest.mark.parametrize("block", [1, 2], ids=["uploads under way", "one block"])
async def test_failing_participants_are_reported_and_may_take_part_again(
    scene, error, words, block
):
    scene.participants.error, scene.participants.block = error, block
    line = await scene.simulator.joined()
    line.take_part(1)
    failure = await line.hear("failure")
    assert (failure.experiment_id, failure.problem) == ("e", words)
    scene.participants.error = None
    line.take_part(2)
    assert (await line.hear("round_report")).submitted == 3


async def test_a_failing_preparation_is_reported(scene):
    scene.participants.error_in_prepare = InvalidValue("data set", "mnst", "did you mean mnist?")
    line = await scene.simulator.attached()
    line.join()
    failure = await line.hear("failure")
    assert failure.problem == "data set='mnst' is not possible: did you mean mnist?"
    scene.participants.error_in_prepare = None
    line.join()
    await line.hear("joined")


async def test_a_model_of_another_size_is_refused(scene):
    scene.aggregator.size = SIZE + 1
    line = await scene.simulator.joined()
    line.take_part(1)
    failure = await line.hear("failure")
    assert f"{4 * SIZE + 4} bytes" in failure.problem
    assert scene.participants.rounds == []


async def test_updates_of_foreign_participants_fail(scene):
    line = await scene.simulator.joined()
    scene.participants.wrong_index = True
    line.take_part(1)
    failure = await line.hear("failure")
    assert "1002" in failure.problem
    assert scene.aggregator.streams == 0
