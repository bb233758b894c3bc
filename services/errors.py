"""The error catalogue: what a caller is told when a call is refused.

Every refusal carries a gRPC status code, a sentence for people, and a ``google.rpc.ErrorInfo``
whose ``reason`` programs can rely on. ``FedSiegeError`` of the science becomes INVALID_ARGUMENT;
anything unforeseen becomes INTERNAL and is logged, never shown.

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
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, cast

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.peer_text import plain
from fedsiege.v1 import aggregator_pb2 as pb

DOMAIN = "fedsiege"
_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
#: Bytes of each text in a refusal. gRPC drops metadata beyond 8 KiB, and there are five texts: the
#: message twice, once with three bytes for one, and up to three in the metadata.
_LONGEST = 700


class ServiceError(FedSiegeError):
    """A call is refused.

    Args:
        reason: stable, upper-case, for programs.
        message: a sentence for people: what was wrong, with which value, what is allowed.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    @property
    def number(self) -> int:
        """The status code as a number."""
        number: int = self.code.value[0]
        return number

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


class NotFound(ServiceError):
    """What the caller names does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class Malformed(ServiceError):
    """What the caller sent can never be right."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class Damaged(ServiceError):
    """What the caller sent did not arrive whole; sending it again may help."""

    code = grpc.StatusCode.DATA_LOSS


class Unauthenticated(ServiceError):
    """The caller did not show that it is who it says."""

    code = grpc.StatusCode.UNAUTHENTICATED


class Forbidden(ServiceError):
    """The caller may not do that, whoever it is."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Duplicate(ServiceError):
    """It exists already."""

    code = grpc.StatusCode.ALREADY_EXISTS


class WrongState(ServiceError):
    """Not now."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class FutureRound(ServiceError):
    """The round has not come yet."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Exhausted(ServiceError):
    """A limit of this server is reached."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class TooSlow(ServiceError):
    """The caller kept a stream open and said nothing."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


def to_status(error: FedSiegeError) -> tuple[grpc.StatusCode, status_pb2.Status]:
    """Say an error in gRPC's words."""
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
    """Return a text fit for the wire: a caller's megabyte must not come back in the refusal."""
    data = text.encode(errors="replace")
    return data.decode() if len(data) <= _LONGEST else data[:_LONGEST].decode(errors="ignore") + "…"


def to_trailers(status: status_pb2.Status) -> Sequence[tuple[str, bytes]]:
    """Pack the details as the trailing metadata where gRPC clients look for them."""
    return ((_DETAILS_KEY, status.SerializeToString()),)


@dataclass(frozen=True)
class Refusal:
    """A refusal as the caller sees it."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Refusal":
        """Read a failed call; ``reason`` is empty if the peer gave none, as for a lost line."""
        for key, value in error.trailing_metadata() or ():
            if key == _DETAILS_KEY:
                status = status_pb2.Status.FromString(cast("bytes", value))
                info = error_details_pb2.ErrorInfo()
                for detail in status.details:
                    if detail.Unpack(info):
                        return cls(error.code(), info.reason, status.message, dict(info.metadata))
        return cls(error.code(), "", error.details() or error.code().name)

    @classmethod
    def in_receipt(cls, receipt: pb.UpdateReceipt) -> "Refusal | None":
        """Read what became of one of many updates; None if it was taken in."""
        if receipt.code == 0:
            return None
        return cls(_CODES[receipt.code], receipt.reason, receipt.message)

    def __str__(self) -> str:
        return f"{self.code.name}: {plain(self.message, 2 * _LONGEST)}"
