"""Tests of the attached workers, and of the distribution of participants."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.services.errors import Malformed
from fedsiege.services.simulator.workers import Workers, share_out
from fedsiege.v1 import simulator_pb2 as pb

quick = settings(max_examples=60, deadline=None, derandomize=True)


def hello(name: str = "w", capacity: int = 1, kind: int = pb.WORKER_KIND_CLIENT) -> pb.Hello:
    return pb.Hello(worker=name, capacity=capacity, kind=kind)


capacities = st.dictionaries(st.text(max_size=3), st.integers(0, 12), max_size=6)


@quick
@given(capacities, st.data())
def test_shares_are_disjoint_complete_and_even(places, data):
    count = data.draw(st.integers(0, sum(places.values())))
    indices = data.draw(
        st.lists(st.integers(0, 999), min_size=count, max_size=count, unique=True).map(sorted)
    )
    shares = share_out(indices, places)
    given_out = [index for name in places for index in shares.get(name, [])]
    assert given_out == indices, "consecutive, everyone once"
    assert all(0 < len(share) <= places[name] for name, share in shares.items())
    sizes = [len(shares.get(name, [])) for name in places]
    # Who is not full has at least what anyone else has, but for the one left over.
    for name, size in zip(places, sizes, strict=True):
        if size < places[name]:
            assert size >= max(sizes) - 1
    assert share_out(indices, places) == shares


@quick
@given(capacities, st.integers(1, 5))
def test_too_small_capacities_are_an_error(places, more):
    total = sum(places.values())
    with pytest.raises(ValueError, match=f"{more} short of {total + more} participants"):
        share_out(range(total + more), places)


@pytest.mark.parametrize(
    ("count", "places", "sizes"),
    [
        (10, {"a": 10, "b": 10, "c": 10}, [4, 3, 3]),
        (10, {"a": 1, "b": 10, "c": 10}, [1, 5, 4]),
        (10, {"a": 10, "b": 2, "c": 2}, [6, 2, 2]),
        (2, {"a": 5, "b": 5, "c": 5}, [1, 1, 0]),
        (80, {"a": 80}, [80]),
    ],
)
def test_shares_of_small_examples(count, places, sizes):
    shares = share_out(range(count), places)
    found = [len(shares.get(name, [])) for name in places]
    assert sorted(found) == sorted(sizes)
    assert found[0] == sizes[0] or len(set(places.values())) == 1


def test_workers_are_found_by_name():
    workers = Workers()
    one = workers.attach(hello("b", 3))
    two = workers.attach(hello("a", 2))
    fake = workers.attach(hello("c", 1, pb.WORKER_KIND_ATTACKER))
    assert list(workers) == [one, two, fake]
    assert workers.get("a") is two
    assert workers.get("z") is None
    assert workers.of_kind(pb.WORKER_KIND_CLIENT) == [two, one], "by name"
    assert workers.of_kind(pb.WORKER_KIND_ATTACKER) == [fake]
    workers.detach(one)
    assert workers.get("b") is None
    assert len(workers) == 2


def test_a_worker_that_attaches_again_replaces_its_old_stream():
    workers = Workers()
    old = workers.attach(hello())
    new = workers.attach(hello(capacity=5))
    assert old.outbox.get_nowait() is None, "the old line ends"
    assert new.outbox.empty()
    workers.detach(old)
    assert workers.get("w") is new, "the end of the old line does not end the new one"


def test_listeners_are_called_until_they_are_removed():
    workers, heard = Workers(), []
    stop = workers.listen(lambda: heard.append(len(workers)))
    worker = workers.attach(hello("a"))
    workers.attach(hello("b"))
    workers.detach(worker)
    workers.detach(worker)
    assert heard == [1, 2, 1], "an end that changes nothing is no change"
    stop()
    workers.attach(hello("c"))
    assert heard == [1, 2, 1]


def test_a_listener_may_be_removed_during_a_call():
    workers, heard = Workers(), []

    def leave_at_once() -> None:
        stop()

    stop = workers.listen(leave_at_once)
    workers.listen(lambda: heard.append(1))
    workers.attach(hello())
    assert heard == [1]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (hello(""), "1 to 100 printable"),
        (hello("x" * 101), "1 to 100 printable"),
        (hello("two\nlines"), "two"),
        (hello(kind=pb.WORKER_KIND_UNSPECIFIED), "kind 0"),
        (hello(kind=9), "kind 9"),
        (hello(capacity=0), "capacity 0"),
        (hello(capacity=1_000_001), "1000001"),
    ],
)
def test_an_invalid_hello_is_refused(wrong, words):
    workers = Workers()
    there = workers.attach(hello("there"))
    with pytest.raises(Malformed, match=words) as caught:
        workers.attach(wrong)
    assert caught.value.reason == "INVALID_VALUE"
    assert list(workers) == [there]
