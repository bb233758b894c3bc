"""Tests of the limits of peers, on a clock that the test controls."""

import gc

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.services.aggregator import service as aggregator
from fedsiege.services.errors import Exhausted, Forbidden
from fedsiege.services.identity.callers import Caller, Role
from fedsiege.services.rpc import guard as guard_module
from fedsiege.services.rpc.guard import BURST, Guard, Limits, Peer
from fedsiege.services.simulator import service as simulator
from fedsiege.v1 import aggregator_pb2, simulator_pb2
from tests.cases import each

ANN, BEN = Caller("ann"), Caller("ben")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Federation:
    """Stands for a federation in which identities enrol."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refusal(function, *arguments) -> Exhausted:
    with pytest.raises(Exhausted) as caught:
        function(*arguments)
    return caught.value


# --- limits


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", Limits()),
        ("streams=2000", Limits(streams=2_000)),
        (" bytes = 512MiB , messages=7,", Limits(bytes=512 << 20, messages=7)),
        ("enrollments=1,total_streams=64KiB", Limits(enrollments=1, total_streams=65_536)),
    ],
)
def test_limits_are_parsed(text, limits):
    assert Limits.parse(text) == limits


@each(
    ("text", "words"),
    [
        ("strems=1", "it takes enrollments, streams, bytes"),
        ("5", "write it as streams=2000,bytes=512MiB"),
        ("streams", "write it as streams=2000"),
        ("streams=-1", "whole number"),
        ("streams=1.5", "whole number"),
        ("streams=many", "'many'"),
        ("streams=1MB", "512MiB"),
        ("bytes=" + 99 * "9", "whole number"),
        ("streams=0", "1 or more"),
        ("streams=1,streams=2", "twice"),
    ],
)
def test_invalid_limits_are_named(text, words):
    with pytest.raises(InvalidValue, match=r"^limits") as caught:
        Limits.parse(text)
    assert words in str(caught.value)


# --- streams


def test_open_calls_are_limited_for_each_peer():
    guard = Guard(Limits(streams=2))
    first = guard.enter(ANN)
    guard.enter(ANN)
    error = refusal(guard.enter, ANN)
    assert error.reason == "PEER_STREAMS"
    assert "ann has 2 calls open; the limit of a peer is 2" in error.message
    guard.enter(BEN)
    guard.leave(first)
    guard.enter(ANN)
    assert guard.streams == 3


def test_open_calls_of_all_peers_together_are_limited():
    guard = Guard(Limits(total_streams=2))
    first = guard.enter(ANN)
    guard.enter(BEN)
    error = refusal(guard.enter, Caller("cid"))
    assert error.reason == "TOO_MANY_STREAMS"
    assert "the limit of this server is 2" in error.message
    guard.leave(first)
    guard.enter(Caller("cid"))


# --- rates


@pytest.mark.parametrize(
    ("limits", "size", "fitting", "reason", "rate"),
    [
        # the call itself is the first message of the burst; a debt of one is let pass
        (Limits(messages=10), 0, BURST * 10, "PEER_MESSAGES", "10 messages"),
        (Limits(bytes=1_000), 100, BURST * 10 + 1, "PEER_BYTES", "1,000 bytes"),
    ],
)
def test_a_refusal_of_a_rate_says_how_long_to_wait(clock, limits, size, fitting, reason, rate):
    guard = Guard(limits, clock=clock)
    peer = guard.enter(ANN)
    for _ in range(int(fitting)):
        peer.take(size)
    error = refusal(peer.take, size)
    assert error.reason == reason
    assert f"ann exchanges more than {rate} a second" in error.message
    assert "wait 0.1 s" in error.message
    guard.enter(BEN).take(size)
    clock.now += 0.11
    peer.take(size)
    refusal(peer.take, size)


def test_an_idle_peer_saves_no_more_than_the_burst(clock):
    peer = Peer("ann", Limits(messages=10), clock)
    clock.now += 1e6
    for _ in range(int(BURST * 10) + 1):
        peer.take(0)
    assert refusal(peer.take, 0).reason == "PEER_MESSAGES"


def test_a_refused_message_costs_nothing(clock):
    peer = Peer("ann", Limits(bytes=1_000), clock)
    peer.take(5_000)
    for _ in range(1_000):
        refusal(peer.take, 5_000)
    clock.now += 1.01
    peer.take(5_000)


def test_no_message_is_too_large_for_ever(clock):
    peer = Peer("ann", Limits(bytes=1), clock)
    peer.take(4 << 20)
    assert "wait 4.2e+06 s" in refusal(peer.take, 1).message


def test_rates_span_several_calls(clock):
    guard = Guard(Limits(messages=10), clock=clock)
    for _ in range(int(BURST * 10) + 1):
        guard.leave(guard.enter(ANN))
    assert refusal(guard.enter, ANN).reason == "PEER_MESSAGES"
    assert guard.streams == 0
    clock.now += 0.11
    guard.enter(ANN)


# --- memory


def test_the_number_of_remembered_peers_is_bounded(monkeypatch):
    monkeypatch.setattr(guard_module, "MAX_IDLE_PEERS", 5)
    guard = Guard(Limits(streams=1))
    guard.enter(ANN)
    for number in range(100):
        guard.leave(guard.enter(Caller(f"2001:db8::{number:x}")))
    assert guard.peers == 6
    assert refusal(guard.enter, ANN).reason == "PEER_STREAMS", "who has calls open is not forgotten"


def test_the_peer_idle_for_longest_is_forgotten_first(monkeypatch, clock):
    monkeypatch.setattr(guard_module, "MAX_IDLE_PEERS", 2)
    guard = Guard(Limits(messages=1), clock=clock)
    for caller in (ANN, BEN, ANN, Caller("cid")):
        guard.leave(guard.enter(caller))
    for _ in range(int(BURST) - 1):
        guard.leave(guard.enter(ANN))
    refusal(guard.enter, ANN)  # it had two calls before


def test_refused_peers_are_not_remembered():
    guard = Guard(Limits(total_streams=1))
    guard.enter(ANN)
    for number in range(10):
        refusal(guard.enter, Caller(f"10.0.0.{number}"))
    assert guard.peers == 1


# --- roles


@each(
    ("role", "method", "reason"),
    [
        (Role.PARTICIPANT, "OpenRound", "CONTROL_ONLY"),
        (Role.PARTICIPANT, "Attach", ""),
        (Role.PARTICIPANT, "GetModel", ""),
        (Role.PARTICIPANT, "Forgotten", "CONTROL_ONLY"),
        (Role.PARTICIPANT, "Check", ""),
        (Role.PARTICIPANT, "ServerReflectionInfo", ""),
        (Role.CONTROL, "OpenRound", ""),
        (Role.CONTROL, "Attach", "PARTICIPANT_ONLY"),
        (Role.CONTROL, "GetModel", ""),
        (Role.CONTROL, "Forgotten", "PARTICIPANT_ONLY"),
        (Role.CONTROL, "Check", ""),
        (Role.ANYONE, "OpenRound", ""),
        (Role.ANYONE, "Attach", ""),
    ],
)
def test_a_role_may_call_its_methods_only(role, method, reason):
    guard = Guard(control={"OpenRound", "GetModel"}, participant={"Attach", "GetModel"})
    caller = Caller("ann", role, verified=role is not Role.ANYONE)
    if not reason:
        guard.permit(caller, method)
        return
    with pytest.raises(Forbidden) as caught:
        guard.permit(caller, method)
    assert caught.value.reason == reason
    assert caught.value.message == f"{method} is not for ann, whose role is {role}"


@pytest.mark.parametrize(
    ("messages", "service"),
    [(aggregator_pb2, aggregator), (simulator_pb2, simulator)],
)
def test_every_method_is_listed_for_a_role(messages, service):
    """A method in no list would be refused to every role of a certificate."""
    (described,) = messages.DESCRIPTOR.services_by_name.values()
    assert {method.name for method in described.methods} == service.CONTROL | service.PARTICIPANT


# --- enrolments


def test_enrolments_of_a_peer_are_limited_in_each_federation():
    guard, one, two = Guard(Limits(enrollments=5)), Federation(), Federation()
    guard.enrolled(ANN, 3, one)
    error = refusal(guard.enrolled, ANN, 3, one)
    assert error.reason == "PEER_ENROLLMENTS"
    assert (
        "ann has enrolled 3 identities and asks for 3 more; the limit of a peer is 5"
        in error.message
    )
    guard.enrolled(ANN, 2, one)  # nothing was counted when it was refused
    guard.enrolled(ANN, 0, one)  # who comes again is nobody new
    guard.enrolled(ANN, 5, two)
    guard.enrolled(BEN, 5, one)


def test_enrolment_counts_are_dropped_with_their_federation():
    guard, federation = Guard(), Federation()
    guard.enrolled(ANN, 3, federation)
    assert len(guard._enrolled) == 1
    del federation
    gc.collect()
    assert len(guard._enrolled) == 0
