"""Tests of admission at a real aggregator: tokens over gRPC, certificates over TLS."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest

from fedsiege.services.aggregator import admission as module
from fedsiege.services.aggregator.__main__ import main
from fedsiege.services.aggregator.admission import Admission, ByCertificate, ByToken
from fedsiege.services.aggregator.participants import Participant
from fedsiege.services.aggregator.service import CONTROL, PARTICIPANT, AggregatorService
from fedsiege.services.errors import Refusal, ServiceError
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import Caller, Role
from fedsiege.services.identity.ledger import Ledger
from fedsiege.services.identity.tls import Tls
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.guard import Guard
from fedsiege.services.rpc.server import serving
from fedsiege.services.rpc.tensors import MIN_CHUNK_BYTES
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from tests.services.conftest import pieces_of, receipts_of, refusal_of

Code = grpc.StatusCode
SECRET = b"sixteen bytes of"


def one(
    identity: str, token: str = "", index: int | None = None, credential: bytes = SECRET
) -> pb.Enrollment:
    return pb.Enrollment(
        identity=identity, credential=credential, participant_index=index, token=token
    )


async def start(stack: AsyncExitStack, admission: Admission, tls: Tls | None = None) -> int:
    guard = Guard(control=CONTROL, participant=PARTICIPANT)
    service = AggregatorService(Path("nowhere"), admission=admission, guard=guard)
    stack.push_async_callback(service.close)
    return await stack.enter_async_context(
        serving(
            "127.0.0.1:0",
            lambda server: rpc.add_AggregatorServiceServicer_to_server(service, server),
            ["fedsiege.v1.AggregatorService"],
            tls=tls,
            guard=guard,
        )
    )


async def refusal(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    found = Refusal.of(caught.value)
    return found.code, found.reason


def enroll(federation, *wanted: pb.Enrollment, stub=None):
    request = pb.EnrollRequest(federation_id=federation.id, enrollments=wanted)
    return (stub or federation.stub).Enroll(request)


async def who_is_in(federation) -> dict[str, int]:
    answer = await federation.stub.ListParticipants(
        pb.ListParticipantsRequest(federation_id=federation.id)
    )
    return {one.identity: one.participant_index for one in answer.participants}


def small(federation) -> np.ndarray:
    return np.full(federation.size, 1e-3, np.float32)


# --- tokens


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "tokens.sqlite")


@pytest.fixture
async def aggregator(ledger, monkeypatch) -> AsyncIterator[grpc.aio.Channel]:
    """Token admission in place of the open mode, which reads revoked tokens at every check."""
    monkeypatch.setattr(module, "REVOCATION_REFRESH", 0.0)
    async with AsyncExitStack() as stack:
        port = await start(stack, ByToken(ledger))
        yield await stack.enter_async_context(connect(f"127.0.0.1:{port}"))


@pytest.fixture
async def federation(create, ledger):
    """A federation of a/0, a/1 and a/2, whose first round is open, and their tokens."""
    made = await create()
    made.tokens = ledger.issue(3, "a")
    wanted = [one(f"a/{i}", token, i) for i, token in enumerate(made.tokens)]
    await enroll(made, *wanted)
    await made.open()
    return made


async def test_the_specification_has_the_admission_mode(create):
    assert (await create()).described.spec.admission == "token"
    assert (await create(admission="token")).described.spec.admission == "token"
    for other in ("open", "mtls", "x" * 10_000):
        assert await refusal(create(admission=other)) == (
            Code.FAILED_PRECONDITION,
            "WRONG_ADMISSION",
        )


async def test_a_thousand_identities_without_tokens_are_refused(federation):
    many = [one(f"sybil/{i}") for i in range(1_000)]
    assert await refusal(enroll(federation, *many)) == (Code.UNAUTHENTICATED, "TOKEN_MISSING")
    answers = [await refusal(enroll(federation, someone)) for someone in many[:20]]
    assert set(answers) == {(Code.UNAUTHENTICATED, "TOKEN_MISSING")}
    guessed = [one(f"sybil/{i}", f"{i:043}") for i in range(1_000)]
    assert await refusal(enroll(federation, *guessed)) == (Code.UNAUTHENTICATED, "UNKNOWN_TOKEN")
    assert await who_is_in(federation) == {"a/0": 0, "a/1": 1, "a/2": 2}


async def test_a_used_token_admits_no_other_identity(federation, create):
    used = federation.tokens[0]
    assert await refusal(enroll(federation, one("b/0", used))) == (
        Code.PERMISSION_DENIED,
        "TOKEN_USED",
    )
    other = await create()
    assert await refusal(enroll(other, one("b/0", used))) == (Code.PERMISSION_DENIED, "TOKEN_USED")


async def test_a_token_does_not_admit_under_an_enrolled_identity(federation, create, ledger):
    (mine,) = ledger.issue(1, "mine")
    for where in (federation, await create()):
        answer = await refusal(enroll(where, one("a/0", mine)))
        assert answer == (Code.PERMISSION_DENIED, "WRONG_TOKEN")


async def test_of_two_concurrent_uses_of_a_token_one_succeeds(create, ledger):
    federation = await create()
    (token,) = ledger.issue(1)
    calls = [enroll(federation, one(name, token)) for name in ("x", "y")]
    answers = await asyncio.gather(*map(awaited, calls), return_exceptions=True)
    refused = [Refusal.of(a).reason for a in answers if isinstance(a, grpc.aio.AioRpcError)]
    assert refused == ["TOKEN_USED"]
    assert len(await who_is_in(federation)) == 1


async def awaited(call):
    return await call


async def test_one_invalid_token_refuses_the_request_and_binds_no_token(create, ledger):
    federation = await create()
    good, other = ledger.issue(2)
    wanted = [one("x", good), one("y", "made up")]
    assert await refusal(enroll(federation, *wanted)) == (Code.UNAUTHENTICATED, "UNKNOWN_TOKEN")
    assert await who_is_in(federation) == {}
    await enroll(federation, one("y", good), one("x", other))


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
async def test_an_invalid_name_binds_no_token(create, ledger, name):
    federation = await create()
    (token,) = ledger.issue(1)
    assert await refusal(enroll(federation, one(name, token))) == (
        Code.INVALID_ARGUMENT,
        "INVALID_VALUE",
    )
    await enroll(federation, one("a name", token))


async def test_enrolling_again_with_a_token_keeps_the_index(federation, create):
    tokens = federation.tokens
    again = await enroll(federation, one("a/1", tokens[1]), one("a/2", tokens[2], 2))
    assert [m.participant_index for m in again.memberships] == [1, 2]
    other = await create()
    await enroll(other, one("a/1", tokens[1], 7))
    assert await who_is_in(other) == {"a/1": 7}


async def test_an_expired_token_is_refused(create, ledger, monkeypatch):
    federation = await create()
    used, late = ledger.issue(2, days=1)
    await enroll(federation, one("x", used))
    monkeypatch.setattr("fedsiege.services.identity.ledger.time.time", lambda: 4e9)
    assert await refusal(enroll(federation, one("y", late))) == (
        Code.UNAUTHENTICATED,
        "TOKEN_EXPIRED",
    )
    await enroll(federation, one("x", used))


async def test_a_participant_revoked_during_a_round_does_not_delay_it(federation, ledger):
    await federation.submit(0, small(federation), credential=SECRET)
    await asyncio.to_thread(ledger.revoke, identity="a/1")
    found = await federation.refusal(federation.pieces(1, small(federation), credential=SECRET))
    assert (found.code, found.reason) == (Code.PERMISSION_DENIED, "TOKEN_REVOKED")
    await federation.submit(2, small(federation), credential=SECRET)
    entry = await federation.closed(1)
    assert (entry.updates, entry.rejected) == (2, 1), "the round did not wait for its deadline"
    assert await refusal(enroll(federation, one("a/1", federation.tokens[1]))) == (
        Code.PERMISSION_DENIED,
        "TOKEN_REVOKED",
    )


async def test_an_update_is_refused_if_its_token_is_revoked_meanwhile(create, ledger, monkeypatch):
    begun, check = asyncio.Event(), ByToken.check

    async def note(self: ByToken, participant: Participant) -> None:
        await check(self, participant)
        begun.set()

    monkeypatch.setattr(ByToken, "check", note)
    federation = await create(model="lenet5")  # its updates are large enough for two messages
    (token,) = ledger.issue(1)
    await enroll(federation, one("a/0", token, 0))
    await federation.open()
    first, *_ = federation.pieces(0, small(federation), credential=SECRET)
    data = first.chunk.data
    rest = pb.UpdatePiece()
    rest.chunk.offset, rest.chunk.data = MIN_CHUNK_BYTES, data[MIN_CHUNK_BYTES:]
    first.chunk.data = data[:MIN_CHUNK_BYTES]

    async def messages() -> AsyncIterator[pb.SubmitUpdatesRequest]:
        yield pb.SubmitUpdatesRequest(pieces=[first])
        await begun.wait()
        await asyncio.to_thread(ledger.revoke, identity="a/0")
        yield pb.SubmitUpdatesRequest(pieces=[rest])

    call = federation.stub.SubmitUpdates(messages(), timeout=15)
    found = await refusal_of(receipts_of(call))
    assert (found.code, found.reason) == (Code.PERMISSION_DENIED, "TOKEN_REVOKED")


async def test_a_replayed_update_counts_once(federation, create):
    honest = federation.pieces(0, small(federation), credential=SECRET)
    await federation.submit(0, small(federation), credential=SECRET)
    assert (await federation.refusal(honest)).reason == "DUPLICATE_UPDATE"
    mine = federation.pieces(0, small(federation), credential=b"the thief's own secret")
    assert (await federation.refusal(mine)).reason == "WRONG_CREDENTIAL"
    other = await create()
    await enroll(other, one("a/0", federation.tokens[0], 0, b"another secret of a/0"))
    await other.open()
    moved = other.pieces(0, small(other), credential=SECRET)
    assert (await other.refusal(moved)).reason == "WRONG_CREDENTIAL"


# --- certificates


def places(name: str = "client-01", count: int = 3) -> Caller:
    return Caller(name, Role.PARTICIPANT, verified=True, participants=count)


FOREIGN = {
    "another's name": "client-02/0",
    "a name that begins like it": "client-01x/0",
    "no slot": "client-01",
    "an empty slot": "client-01/",
    "one beyond its places": "client-01/3",
    "a slot far beyond": f"client-01/{'9' * 150}",
    "a second spelling of a slot": "client-01/00",
    "a sign": "client-01/+1",
    "a negative one": "client-01/-1",
    "other digits": "client-01/\N{ARABIC-INDIC DIGIT ONE}",
    "a raised digit": "client-01/\N{SUPERSCRIPT TWO}",
    "a space": "client-01/ 1",
    "a name with a slash": "client-01/0/1",
}


@pytest.mark.parametrize("case", FOREIGN)
async def test_a_certificate_admits_its_own_slots_only(case):
    admission = ByCertificate()
    await admission.admit([one("client-01/0"), one("client-01/2")], places())
    with pytest.raises(ServiceError) as caught:
        await admission.admit([one("client-01/0"), one(FOREIGN[case])], places())
    assert caught.value.reason == "FOREIGN_IDENTITY"


async def test_an_identity_without_certificate_is_refused():
    with pytest.raises(ServiceError) as caught:
        await ByCertificate().admit([one("client-01/0")], Caller("client-01", participants=3))
    assert caught.value.reason == "NO_CERTIFICATE"


class Town:
    """An aggregator with certificate admission, and a channel for each certificate."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self._stack = stack
        self.authority = Authority.create(folder)
        self.authority.issue("aggregator", participants=0, hosts=("127.0.0.1",))
        self.authority.issue("operator", Role.CONTROL)
        self.port = 0

    async def line(self, name: str) -> "rpc.AggregatorServiceAsyncStub":
        tls = Tls(self.authority.folder / name)
        channel = await self._stack.enter_async_context(connect(f"127.0.0.1:{self.port}", tls))
        return rpc.AggregatorServiceStub(channel)


@pytest.fixture
async def town(tmp_path) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        made = Town(stack, tmp_path / "certs")
        made.port = await start(stack, ByCertificate(), Tls(tmp_path / "certs" / "aggregator"))
        yield made


class At:
    """A federation, as ``enroll`` and ``who_is_in`` want it."""

    def __init__(self, federation_id: str, size: int, stub) -> None:
        self.id, self.size, self.stub = federation_id, size, stub


async def submit(
    stub: "rpc.AggregatorServiceAsyncStub", federation: At, index: int, credential: bytes = b""
) -> str:
    """Send an update; return the reason of its refusal, empty if it was accepted."""
    header = pb.UpdateHeader(
        federation_id=federation.id,
        round=1,
        participant_index=index,
        credential=credential,
        num_samples=1,
        num_steps=1,
    )
    pieces = pieces_of(header, small(federation))
    call = stub.SubmitUpdates(iter([pb.SubmitUpdatesRequest(pieces=pieces)]), timeout=15)
    (receipt,) = await receipts_of(call)
    return receipt.reason


async def test_only_the_certificates_owner_enrols_and_submits(town):
    town.authority.issue("a", participants=2)
    town.authority.issue("b", participants=1)
    operator, a, b = [await town.line(name) for name in ("operator", "a", "b")]
    request = pb.CreateFederationRequest(spec=pb.FederationSpec(model="net", dataset="digits"))
    assert await refusal(a.CreateFederation(request)) == (Code.PERMISSION_DENIED, "CONTROL_ONLY")
    made = (await operator.CreateFederation(request)).federation
    assert made.spec.admission == "mtls"
    federation = At(made.federation_id, made.parameters, operator)

    await enroll(federation, one("a/0", index=0), one("a/1", index=1), stub=a)
    await enroll(federation, one("b/0", index=2, credential=b""), stub=b)
    thief = one("a/0", index=0)
    for wanted, stub in ((thief, b), (one("b/1"), b), (one("operator/0"), operator)):
        answer = await refusal(enroll(federation, wanted, stub=stub))
        assert answer == (Code.PERMISSION_DENIED, "FOREIGN_IDENTITY")
    assert await who_is_in(federation) == {"a/0": 0, "a/1": 1, "b/0": 2}

    opening = pb.OpenRoundRequest(federation_id=federation.id, round=1)
    opening.deadline.FromSeconds(20)
    assert await refusal(b.OpenRound(opening)) == (Code.PERMISSION_DENIED, "CONTROL_ONLY")
    await operator.OpenRound(opening)
    # The replayed update of another, its secret and all, and even while the other's is missing.
    assert await submit(b, federation, 0, SECRET) == "FOREIGN_IDENTITY"
    assert await submit(a, federation, 0) == ""
    assert await submit(b, federation, 2, b"not its secret") == ""

    # A new key, another secret: the same participant.
    town.authority.renew("a", days=1)
    renewed = await town.line("a")
    again = await enroll(federation, one("a/1", credential=b"of another process"), stub=renewed)
    assert again.memberships[0].participant_index == 1
    assert await submit(renewed, federation, 1) == ""


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--admission=token"], {}, "--tokens"),
        ([], {"FEDSIEGE_ADMISSION": "mtls"}, "--certs"),
        ([], {"FEDSIEGE_ADMISSION": "closed"}, "open, token, mtls"),
        (["--limits=streams=none"], {}, "streams"),
        (["--admission=mtls", "--certs=nowhere"], {}, "nowhere"),
        (["--admission=token", "--tokens=/dev/null/x"], {}, "/dev/null"),
    ],
)
def test_inconsistent_options_are_refused_at_start(
    arguments: list[str], environment: Mapping[str, str], words: str, monkeypatch, capsys
):
    monkeypatch.setattr("fedsiege.services.rpc.process.set_up_logging", lambda *_: None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main(["--address=127.0.0.1:0", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
