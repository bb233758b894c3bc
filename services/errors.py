"""The error catalogue: the errors of the services, and how a caller receives them.

A failed call carries a gRPC status code, a message, and a ``google.rpc.ErrorInfo`` with a
``reason`` that programs can rely on. A ``FedSiegeError`` of the library becomes INVALID_ARGUMENT.
Any other exception becomes INTERNAL; it is logged and not shown to the caller.

    ServiceError
      NotFound            UNKNOWN_FEDERATION, UNKNOWN_PARTICIPANT, UNKNOWN_ROUND, UNKNOWN_EXPERIMENT
      Malformed           MALFORMED_MESSAGE, MALFORMED_STREAM, WRONG_DATA_TYPE, WRONG_SHAPE,
                          TOO_MANY_BYTES, NOT_FINITE, TOO_LARGE, TOO_MANY_UPDATES,
                          INVALID_VALUE
      Damaged             TRUNCATED, CHECKSUM_MISMATCH
      Unauthenticated     WRONG_CREDENTIAL, TOKEN_MISSING, UNKNOWN_TOKEN, TOKEN_EXPIRED,
                          NO_CERTIFICATE, CERTIFICATE_REVOKED, CERTIFICATE_EXPIRED, UNKNOWN_ROLE
      Forbidden           TOKEN_USED, TOKEN_REVOKED, WRONG_TOKEN, FOREIGN_IDENTITY,
                          CONTROL_ONLY, PARTICIPANT_ONLY, NOT_YOUR_NAME, CAPACITY_EXCEEDED
      Duplicate           DUPLICATE_UPDATE, UPDATE_ARRIVING, UPDATE_REFUSED,
                          DUPLICATE_INDEX, INDEX_TAKEN, IDENTITY_ENROLLED
      WrongState          STALE_ROUND, ROUND_CLOSED, ROUND_OPEN, WRONG_ROUND, NOT_SCHEDULED,
                          NO_PARTICIPANTS, WRONG_ADMISSION
      FutureRound         FUTURE_ROUND
      Exhausted           TOO_MANY_FEDERATIONS, TOO_MANY_PARTICIPANTS, TOO_MANY_EXPERIMENTS,
                          FEDERATION_FULL, ROUND_TOO_LARGE, TOO_MANY_STREAMS,
                          PEER_ENROLLMENTS, PEER_STREAMS, PEER_BYTES, PEER_MESSAGES
      TooSlow             STREAM_IDLE, STREAM_SLOW
      Unreachable         NO_ANSWER, CONNECTION_LOST
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.peer_text import plain
from fedsiege.v1 import aggregator_pb2 as pb

DOMAIN = "fedsiege"
_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
#: Most bytes of each text in an error. gRPC drops metadata beyond 8 KiB, and there are five texts:
#: the message twice, once with up to three bytes for one, and up to three in the ``ErrorInfo``.
_LONGEST = 700


class ServiceError(FedSiegeError):
    """A call cannot be carried out; the subclass gives the gRPC status code.

    Args:
        reason: the reason, one of those above, which programs can rely on.
        message: what was wrong, with which value, and what is allowed.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    @property
    def number(self) -> int:
        """The number of the status code."""
        number: int = self.code.value[0]
        return number

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


class NotFound(ServiceError):
    """The federation, participant, round or experiment does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class Malformed(ServiceError):
    """The request is invalid and must not be sent again."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class Damaged(ServiceError):
    """The data arrived incomplete or altered; sending them again may help."""

    code = grpc.StatusCode.DATA_LOSS


class Unauthenticated(ServiceError):
    """The caller did not prove its identity."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Forbidden(ServiceError):
    """The caller is known, but has no permission for the call."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Duplicate(ServiceError):
    """The update or participant exists already."""

    code = grpc.StatusCode.ALREADY_EXISTS


class WrongState(ServiceError):
    """The call is not possible in the current state of the federation."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class FutureRound(ServiceError):
    """The round has not been opened yet."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Exhausted(ServiceError):
    """A limit of this server is reached."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class TooSlow(ServiceError):
    """The caller sends nothing, or too slowly, on an open stream."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Unreachable(ServiceError):
    """The server cannot be reached, or does not answer in time. Raised by the caller."""

    code = grpc.StatusCode.UNAVAILABLE


def to_status(error: FedSiegeError) -> tuple[grpc.StatusCode, status_pb2.Status]:
    """Return the gRPC status code and the status, with its details, of an error."""
    code = error.code if isinstance(error, ServiceError) else grpc.StatusCode.INVALID_ARGUMENT
    reason = error.reason if isinstance(error, ServiceError) else "INVALID_VALUE"
    status = status_pb2.Status(code=code.value[0], message=_shortened(str(error)))
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    if isinstance(error, InvalidValue):
        texts = {"field": error.name, "value": str(error.value), "allowed": error.allowed}
        info.metadata.update({key: _shortened(text) for key, text in texts.items()})
    detail = any_pb2.Any()
    detail.Pack(info)
    status.details.append(detail)
    return code, status


def _shortened(text: str) -> str:
    """Return a text cut to what fits; it may repeat a value of any size from the request."""
    data = text.encode(errors="replace")
    return data.decode() if len(data) <= _LONGEST else data[:_LONGEST].decode(errors="ignore") + "…"


def to_trailers(status: status_pb2.Status) -> Sequence[tuple[str, bytes]]:
    """Return a status as the trailing metadata in which gRPC clients expect it."""
    return ((_DETAILS_KEY, status.SerializeToString()),)


@dataclass(frozen=True)
class Refusal:
    """A failed call or a refused update, as the caller receives it.

    Attributes:
        code: the gRPC status code.
        reason: the reason, see the module; empty if the server gave none.
        message: the message.
        metadata: further details by name, such as the field, its value and what is allowed.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: grpc.RpcError) -> "Refusal":
        """Return the refusal in a failed call; a lost connection has no reason."""
        trailers = cast("Sequence[tuple[str, str | bytes]]", error.trailing_metadata() or ())
        for key, value in trailers:
            if key == _DETAILS_KEY:
                info = error_details_pb2.ErrorInfo()
                with contextlib.suppress(DecodeError):  # of another server's details
                    status = status_pb2.Status.FromString(cast("bytes", value))
                    for detail in status.details:
                        if detail.Unpack(info):
                            details = dict(info.metadata)
                            return cls(error.code(), info.reason, status.message, details)
        return cls(error.code(), "", error.details() or error.code().name)

    def to_error(self) -> FedSiegeError:
        """Return the error that the server raised, with its texts made safe to print."""
        given = {key: plain(text, 2 * _LONGEST) for key, text in self.metadata.items()}
        if self.reason == "INVALID_VALUE" and {"field", "value", "allowed"} <= given.keys():
            error = InvalidValue(given["field"], given["value"], given["allowed"])
            error.args = (plain(self.message, 2 * _LONGEST),)  # has the value with its type
            return error
        kinds = {kind.code: kind for kind in ServiceError.__subclasses__()}
        kind = kinds.get(self.code)
        if kind is None:
            return ServiceError(plain(self.reason), str(self))
        return kind(plain(self.reason), plain(self.message, 2 * _LONGEST))

    @classmethod
    def in_receipt(cls, receipt: pb.UpdateReceipt) -> "Refusal | None":
        """Return the refusal in the receipt of an update; None if the update was accepted."""
        if receipt.code == 0:
            return None
        return cls(_CODES[receipt.code], receipt.reason, receipt.message)

    def __str__(self) -> str:
        return f"{self.code.name}: {plain(self.message, 2 * _LONGEST)}"
