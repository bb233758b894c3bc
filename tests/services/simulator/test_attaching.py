"""Tests of Attach: listed workers, refused workers, ignored messages."""

import asyncio
import logging

import pytest

from fedsiege.v1 import simulator_pb2 as pb
from tests.services.conftest import refusal
from tests.services.simulator.puppets import ATTACKER, CLIENT, Code, gone, until


async def test_a_worker_is_listed_while_it_is_attached(simulator):
    assert await simulator.workers() == []
    one = await simulator.attached("b", 7)
    await simulator.attached("a", 2, ATTACKER)
    first, second = await simulator.workers()
    assert (first.worker, first.kind, first.capacity, first.experiment_id) == ("b", CLIENT, 7, "")
    assert (second.worker, second.kind, second.capacity) == ("a", ATTACKER, 2)
    assert first.attach_time.ToMicroseconds() <= second.attach_time.ToMicroseconds()
    one.hang_up()
    assert await one.ended()
    await until(lambda: gone(simulator, "b"))
    assert [worker.worker for worker in await simulator.workers()] == ["a"]


async def test_a_lost_connection_is_noticed(simulator):
    one = await simulator.attached("a")
    one.call.cancel()
    await until(lambda: gone(simulator, "a"))


async def test_a_second_stream_of_the_same_name_ends_the_first(simulator):
    first = await simulator.attached("a", 1)
    second = simulator.puppet().hello("a", 2)
    assert await first.ended()
    (listed,) = await simulator.workers()
    assert listed.capacity == 2
    second.hang_up()
    await until(lambda: gone(simulator, "a"))


@pytest.mark.parametrize(
    ("first", "reason", "words"),
    [
        ({"joined": pb.Joined()}, "MALFORMED_STREAM", "hello"),
        ({}, "MALFORMED_STREAM", "hello"),
        (None, "MALFORMED_STREAM", "hello"),
        ({"hello": pb.Hello()}, "INVALID_VALUE", "printable"),
        ({"hello": pb.Hello(worker="a", capacity=1)}, "INVALID_VALUE", "kind"),
        ({"hello": pb.Hello(worker="a", kind=CLIENT)}, "INVALID_VALUE", "capacity 0"),
    ],
)
async def test_a_stream_without_hello_is_refused(simulator, first, reason, words):
    puppet = simulator.puppet()
    if first is not None:
        puppet.say(**first)
    puppet.hang_up()
    found = await refusal(puppet.ended())
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, reason)
    assert words in found.message
    assert await simulator.workers() == []


async def test_an_invalid_message_ends_the_stream_with_a_reason(simulator):
    heard = asyncio.Event()

    async def speech():
        hello = pb.AttachRequest(hello=pb.Hello(worker="a", kind=CLIENT, capacity=1))
        yield hello.SerializeToString()
        await heard.wait()
        yield b"\xff\xff\xff"
        await asyncio.Event().wait()

    call = simulator.channel.stream_stream("/fedsiege.v1.SimulatorService/Attach")(speech())
    reading = asyncio.ensure_future(call.read())
    await until(lambda: simulator.is_attached("a"))
    heard.set()
    found = await refusal(reading)
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
    await until(lambda: gone(simulator, "a"))


async def test_messages_about_unknown_experiments_are_ignored(simulator):
    puppet = await simulator.attached("a")
    puppet.say()
    puppet.hello("another name")
    puppet.say(joined=pb.Joined(experiment_id="nothing"))
    puppet.say(failure=pb.WorkerFailure(experiment_id="nothing", problem="me"))
    experiment = await simulator.start()
    assert experiment.state == pb.EXPERIMENT_STATE_WAITING
    assert [worker.worker for worker in await simulator.workers()] == ["a"]


async def test_many_problems_fill_neither_the_log_nor_the_answer(simulator, caplog):
    caplog.set_level(logging.INFO)
    experiment = await simulator.start(clients=2, attack=0.0)
    puppet = await simulator.attached("a", 2)
    await puppet.join()
    complaint = "no\n12:00:00 simulator  INFO    all is well\x1b[2J" * 2_000
    for _ in range(500):
        failure = pb.WorkerFailure(experiment_id=experiment.experiment_id, problem=complaint)
        puppet.say(failure=failure)
    puppet.say(hello=pb.Hello(worker="the end"))

    async def heard() -> bool:
        found = await simulator.get(experiment.experiment_id)
        return any("no" in note for note in found.notes) and puppet.said_all()

    await until(heard)
    found = await simulator.cancel(experiment.experiment_id)
    assert found.ByteSize() < 1 << 20
    assert all(note.isprintable() for note in found.notes)
    assert len(caplog.text) < 100_000
    assert "\x1b" not in caplog.text
