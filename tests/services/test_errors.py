"""What a caller is told: code, reason and sentence survive the way through gRPC's words."""

import ast
from pathlib import Path

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError, Metadata
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsiege.errors import FedSiegeError, InvalidValue, MissingData, UnfitRound
from fedsiege.peer_text import plain
from fedsiege.services import errors
from fedsiege.services.errors import Refusal, ServiceError, to_status, to_trailers

quick = settings(max_examples=25, deadline=None, derandomize=True)

Code = grpc.StatusCode

CODES = {
    errors.NotFound: Code.NOT_FOUND,
    errors.Malformed: Code.INVALID_ARGUMENT,
    errors.Damaged: Code.DATA_LOSS,
    errors.Unauthenticated: Code.UNAUTHENTICATED,
    errors.Forbidden: Code.PERMISSION_DENIED,
    errors.Duplicate: Code.ALREADY_EXISTS,
    errors.WrongState: Code.FAILED_PRECONDITION,
    errors.FutureRound: Code.OUT_OF_RANGE,
    errors.Exhausted: Code.RESOURCE_EXHAUSTED,
    errors.TooSlow: Code.DEADLINE_EXCEEDED,
    errors.Unreachable: Code.UNAVAILABLE,
}


def refusal(error: FedSiegeError) -> Refusal:
    """Send an error the way a server does and read it the way a client does."""
    code, status = to_status(error)
    trailers = Metadata(*to_trailers(status))
    return Refusal.of(AioRpcError(code, Metadata(), trailers, str(error)))


def test_every_error_has_a_code_of_its_own():
    assert set(ServiceError.__subclasses__()) == set(CODES)
    assert len(set(CODES.values())) == len(CODES)


def reasons_documented() -> set[tuple[str, str]]:
    """Read the catalogue in the module's docstring."""
    found, kind = set(), ""
    for line in (errors.__doc__ or "").partition("ServiceError\n")[2].splitlines():
        words = line.replace(",", " ").split()
        if words and not words[0].isupper():
            kind = words.pop(0)
        found |= {(kind, reason) for reason in words}
    return found


def reasons_given() -> set[tuple[str, str]]:
    """Read the services' source for what they raise."""
    found = set()
    services = Path(errors.__file__).parent
    for file in services.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {kind.__name__ for kind in CODES}
            ):
                assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
                found.add((node.func.id, node.args[0].value))
    return found


def test_the_catalogue_of_reasons_is_complete_and_true():
    assert reasons_documented() == reasons_given()


@pytest.mark.parametrize("kind", CODES)
@quick
@given(message=st.text(max_size=300))
def test_code_reason_and_message_arrive(kind, message):
    found = refusal(kind("SOME_REASON", message))
    assert found == Refusal(CODES[kind], "SOME_REASON", message)
    assert str(found) == f"{CODES[kind].name}: {plain(message, 1_400)}"


@pytest.mark.parametrize("kind", [UnfitRound, MissingData, FedSiegeError])
def test_errors_of_the_science_are_invalid_arguments(kind):
    assert refusal(kind("f is too large")) == Refusal(
        Code.INVALID_ARGUMENT, "INVALID_VALUE", "f is too large"
    )


def test_a_value_that_is_not_allowed_says_which_and_what_would_be():
    found = refusal(InvalidValue("ROUNDS", -3, "1 or more"))
    assert (found.code, found.reason) == (Code.INVALID_ARGUMENT, "INVALID_VALUE")
    assert found.metadata == {"field": "ROUNDS", "value": "-3", "allowed": "1 or more"}
    assert found.message == "ROUNDS=-3 is not possible: 1 or more"


def test_a_lost_line_has_no_reason_but_words():
    error = AioRpcError(Code.UNAVAILABLE, Metadata(), Metadata(), "connection refused")
    assert Refusal.of(error) == Refusal(Code.UNAVAILABLE, "", "connection refused")
    silent = AioRpcError(Code.CANCELLED, Metadata(), Metadata(), None)
    assert Refusal.of(silent).message == "CANCELLED"


def test_details_of_others_are_passed_over():
    status = status_pb2.Status(code=3, message="theirs")
    for detail in (
        error_details_pb2.RetryInfo(),
        error_details_pb2.ErrorInfo(reason="OURS"),
        error_details_pb2.Help(),
    ):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    trailers = Metadata(("other-bin", b"\xff"), *to_trailers(status))
    found = Refusal.of(AioRpcError(Code.INVALID_ARGUMENT, Metadata(), trailers, "theirs"))
    assert found.reason == "OURS"
    del status.details[1]
    trailers = Metadata(*to_trailers(status))
    found = Refusal.of(AioRpcError(Code.INVALID_ARGUMENT, Metadata(), trailers, "theirs"))
    assert (found.reason, found.message) == ("", "theirs")


def test_a_caller_gets_the_error_that_the_server_raised():
    for kind in CODES:
        error = refusal(kind("SOME_REASON", "some words")).to_error()
        assert (type(error), error.reason, str(error)) == (kind, "SOME_REASON", "some words")
    error = refusal(InvalidValue("ROUNDS", -3, "1 or more")).to_error()
    assert isinstance(error, InvalidValue)
    assert (error.name, error.value, error.allowed) == ("ROUNDS", "-3", "1 or more")
    assert str(error) == "ROUNDS=-3 is not possible: 1 or more"
    error = refusal(UnfitRound("f is too large")).to_error()
    assert (type(error), str(error)) == (errors.Malformed, "f is too large")
    internal = Refusal(Code.INTERNAL, "", "bug").to_error()
    assert (type(internal), str(internal)) == (ServiceError, "INTERNAL: bug")


def test_an_error_of_a_hostile_server_is_printable():
    hostile = "\x1b[2J\n" + "x" * 100_000
    details = {"field": hostile, "value": hostile, "allowed": hostile}
    for refused in (
        Refusal(Code.NOT_FOUND, hostile, hostile),
        Refusal(Code.DATA_LOSS, "INVALID_VALUE", hostile, details),
        Refusal(Code.UNKNOWN, hostile, hostile),
    ):
        error = refused.to_error()
        assert str(error).isprintable()
        assert len(str(error)) < 2_000


def test_details_that_cannot_be_read_are_passed_over():
    trailers = Metadata(("grpc-status-details-bin", b"\xff\xff\xff"))
    found = Refusal.of(AioRpcError(Code.NOT_FOUND, Metadata(), trailers, "theirs"))
    assert found == Refusal(Code.NOT_FOUND, "", "theirs")
