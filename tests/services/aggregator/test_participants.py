"""Tests of enrolment: indices, secrets, limits; a request is accepted or refused as a whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.services.aggregator.participants import Participants, check_credential
from fedsiege.services.errors import (
    Duplicate,
    Exhausted,
    Malformed,
    NotFound,
    ServiceError,
    Unauthenticated,
)
from fedsiege.v1 import aggregator_pb2 as pb
from tests.cases import each

quick = settings(max_examples=60, deadline=None, derandomize=True)

SECRET = b"sixteen bytes of"


def one(identity: str, index: int | None = None, credential: bytes = SECRET) -> pb.Enrollment:
    return pb.Enrollment(identity=identity, credential=credential, participant_index=index)


def enroll(roll: Participants, *wanted: pb.Enrollment) -> list[int]:
    return [participant.index for participant in roll.enroll(wanted)]


def refused(roll: Participants, *wanted: pb.Enrollment) -> ServiceError:
    """Return the error of an enrolment, and check that it changed nothing."""
    before = [(p.index, p.identity) for p in roll.page(-1, 10_000)]
    with pytest.raises(ServiceError) as caught:
        roll.enroll(wanted)
    assert [(p.index, p.identity) for p in roll.page(-1, 10_000)] == before
    return caught.value


def test_indices_are_assigned_in_order_or_as_requested():
    roll = Participants(10)
    assert enroll(roll, one("a"), one("b", 4), one("c"), one("d", 2), one("e")) == [0, 4, 1, 2, 3]
    assert enroll(roll, one("f")) == [5], "4 is taken"
    assert roll.indices() == [0, 1, 2, 3, 4, 5]
    assert [p.identity for p in roll.page(-1, 10)] == ["a", "c", "d", "e", "b", "f"]


def test_enrolling_again_returns_the_same_index():
    roll = Participants(3)
    assert enroll(roll, one("a"), one("b", 2)) == [0, 2]
    assert enroll(roll, one("b"), one("a", 0), one("b", 2)) == [2, 0, 2]
    assert enroll(roll, one("c"), one("c")) == [1, 1], "twice in one request, too"
    assert len(roll) == 3


def test_a_full_federation_admits_enrolled_identities_again():
    roll = Participants(1)
    enroll(roll, one("a"))
    assert enroll(roll, one("a")) == [0]
    error = refused(roll, one("b"))
    assert (type(error), error.reason) == (Exhausted, "FEDERATION_FULL")
    assert "capacity of 1" in error.message


REFUSALS = {
    "another secret": (
        one("a", credential=b"another secret!!"),
        Unauthenticated,
        "WRONG_CREDENTIAL",
    ),
    "a part of the secret": (one("a", credential=SECRET[:-1]), Unauthenticated, "WRONG_CREDENTIAL"),
    "no secret": (one("a", credential=b""), Unauthenticated, "WRONG_CREDENTIAL"),
    "a second index": (one("a", 3), Duplicate, "IDENTITY_ENROLLED"),
    "an index that is taken": (one("new", 0), Duplicate, "INDEX_TAKEN"),
    "an index of the same request": (one("new", 5), Duplicate, "INDEX_TAKEN"),
    "the secret of the same request": (
        one("fresh", credential=b"another secret!!"),
        Unauthenticated,
        "WRONG_CREDENTIAL",
    ),
    "an index beyond the capacity": (one("new", 8), Exhausted, "FEDERATION_FULL"),
    "the largest index": (one("new", 2**32 - 1), Exhausted, "FEDERATION_FULL"),
    "no name": (one(""), Malformed, "INVALID_VALUE"),
    "a long name": (one("x" * 201), Malformed, "INVALID_VALUE"),
    "a name of two lines": (one("a\nb"), Malformed, "INVALID_VALUE"),
    "a name that moves the cursor": (one("\x1b[2J"), Malformed, "INVALID_VALUE"),
    "a name that reads backwards": (one("a\u202eb"), Malformed, "INVALID_VALUE"),
    "a short secret": (one("new", credential=bytes(15)), Malformed, "INVALID_VALUE"),
    "a long secret": (one("new", credential=bytes(65)), Malformed, "INVALID_VALUE"),
}


@each("case", REFUSALS)
def test_one_invalid_enrolment_refuses_the_whole_request(case):
    wanted, kind, reason = REFUSALS[case]
    roll = Participants(8)
    enroll(roll, one("a", 0))
    error = refused(roll, one("fresh", 5), wanted, one("late"))
    assert (type(error), error.reason) == (kind, reason), error
    assert SECRET.decode() not in error.message
    assert enroll(roll, one("fresh", 5), one("late")) == [5, 1], "they may come without it"


@pytest.mark.parametrize(
    ("identity", "size"), [("x" * 200, 16), ("é", 64), ("a b/c~\N{SNOWMAN}", 40)]
)
def test_names_and_secrets_at_the_limits_are_accepted(identity, size):
    roll = Participants(1)
    assert enroll(roll, one(identity, credential=bytes(size))) == [0]


@pytest.mark.parametrize("count", [0, 10_001])
def test_no_or_too_many_enrolments_are_refused(count):
    error = refused(Participants(20_000), *(one(f"p{i}") for i in range(count)))
    assert (type(error), error.reason) == (Malformed, "INVALID_VALUE")
    assert f"{count} enrollments" in error.message
    assert "1 to 10000" in error.message


def test_ten_thousand_enrol_in_one_request():
    roll = Participants(10_000)
    assert enroll(roll, *(one(f"p{i}") for i in range(10_000))) == list(range(10_000))


def test_only_the_enrolled_secret_is_accepted():
    roll = Participants(2)
    enroll(roll, one("a"))
    assert roll.find(0).identity == "a"
    check_credential(roll.find(0), SECRET)
    for wrong in (b"", SECRET + b"!", SECRET[:-1] + b"!"):
        with pytest.raises(Unauthenticated, match="participant 0"):
            check_credential(roll.find(0), wrong)
    with pytest.raises(NotFound, match="index 1"):
        roll.find(1)


def test_proved_identities_need_no_secret():
    roll = Participants(2)
    assert [p.index for p in roll.enroll([one("a", 1, b"")], identities_proved=True)] == [1]
    assert [p.index for p in roll.enroll([one("a", None, b"another")], identities_proved=True)] == [
        1
    ]
    assert refused(roll, one("a", 1, b"third")).reason == "WRONG_CREDENTIAL", "but only then"


def test_permission_is_asked_last_and_for_all_together():
    roll, asked = Participants(8), []

    def permit(newcomers: int) -> None:
        asked.append(newcomers)
        if newcomers > 2:
            raise Exhausted("PEER_ENROLLMENTS", "too many")

    roll.enroll([one("a"), one("b")], permit=permit)
    roll.enroll([one("a"), one("c"), one("c")], permit=permit)
    with pytest.raises(Exhausted, match="too many"):
        roll.enroll([one("d"), one("e"), one("f")], permit=permit)
    with pytest.raises(Duplicate):
        roll.enroll([one("d"), one("e", 0)], permit=permit)
    assert asked == [2, 1, 3]
    assert [p.identity for p in roll.page(-1, 9)] == ["a", "b", "c"]


def test_secrets_are_not_stored():
    roll = Participants(1)
    (participant,) = roll.enroll([one("a")])
    assert SECRET not in repr(vars(participant)).encode()
    assert participant.digest != SECRET


@pytest.mark.parametrize(
    ("after", "size", "expected"),
    [(-1, 2, [1, 3]), (3, 2, [5, 7]), (4, 9, [5, 7]), (7, 1, []), (-1, 4, [1, 3, 5, 7])],
)
def test_pages_are_ascending(after, size, expected):
    roll = Participants(8)
    enroll(roll, *(one(f"p{i}", i) for i in (5, 1, 7, 3)))
    assert [p.index for p in roll.page(after, size)] == expected


requests = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 7), st.booleans()),
        min_size=1,
        max_size=4,
    ),
    max_size=12,
)


@quick
@given(requests)
def test_any_requests_leave_one_stable_index_for_each_identity(all_requests):
    roll, known = Participants(6), {}
    for request in all_requests:
        wanted = [
            one(identity, index, SECRET if right else b"not the right one")
            for identity, index, right in request
        ]
        before = dict(known)
        try:
            answer = roll.enroll(wanted)
        except ServiceError:
            assert {p.identity: p.index for p in roll.page(-1, 10)} == before
            continue
        for asked, member in zip(wanted, answer, strict=True):
            assert member.identity == asked.identity
            assert not asked.HasField("participant_index") or (
                member.index == asked.participant_index
            )
            assert known.setdefault(member.identity, member.index) == member.index
        assert {p.identity: p.index for p in roll.page(-1, 10)} == known
        assert len(set(known.values())) == len(known) == len(roll)
        assert set(known.values()) <= set(range(6))
