"""Mutual TLS on real connections: which callers are accepted, and until when."""

import asyncio
import logging
import shutil
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from cryptography import x509

from fedsiege.errors import InvalidValue
from fedsiege.services.errors import Refusal
from fedsiege.services.identity import callers
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import Caller, Role
from fedsiege.services.identity.tls import Tls
from fedsiege.services.rpc import server
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.server import serving
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

Code = grpc.StatusCode
LOOPBACK = ("localhost", "127.0.0.1")


class Clock:
    """The current time, plus ``later``."""

    def __init__(self) -> None:
        self.later = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.later


class Recorder(rpc.AggregatorServiceServicer):
    """Records the callers that were accepted."""

    def __init__(self) -> None:
        self.seen: list[Caller] = []

    async def Enroll(self, request, context):
        self.seen.append(callers.current())
        return pb.EnrollResponse()


@pytest.fixture
def authority(tmp_path) -> Authority:
    made = Authority.create(tmp_path / "certs")
    made.issue("aggregator", participants=0, hosts=LOOPBACK)
    made.issue("client-1", participants=3)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest_asyncio.fixture
async def serve(monkeypatch, recorder, authority, clock):
    """Serve with a bundle of the CA; returns the address."""
    monkeypatch.setattr(server, "GRACE", 0.0)
    async with AsyncExitStack() as stack:

        async def start(name: str = "aggregator") -> str:
            tls = Tls(authority.folder / name, clock, interval=0)
            add = rpc.add_AggregatorServiceServicer_to_server
            running = serving("127.0.0.1:0", lambda one: add(recorder, one), [], tls=tls)
            return f"127.0.0.1:{await stack.enter_async_context(running)}"

        yield start


def tls_of(authority: Authority, name: str = "client-1") -> Tls:
    return Tls(authority.folder / name, interval=0)


async def enroll(channel: grpc.aio.Channel) -> None:
    await rpc.AggregatorServiceStub(channel).Enroll(pb.EnrollRequest(), timeout=10)


async def refusal(channel: grpc.aio.Channel) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await enroll(channel)
    return Refusal.of(caught.value)


def raw(folder: Path, roots: Path | None = None) -> grpc.ChannelCredentials:
    """Return the credentials of a bundle without the checks of Tls."""
    return grpc.ssl_channel_credentials(
        ((roots or folder) / "ca.pem").read_bytes(),
        (folder / "key.pem").read_bytes(),
        (folder / "certificate.pem").read_bytes(),
    )


# --- which callers are accepted


async def test_a_valid_certificate_is_accepted_under_its_name(serve, authority, recorder):
    authority.issue("operator", Role.CONTROL)
    address = await serve()
    for name in ("client-1", "operator", "aggregator"):
        async with connect(address, tls_of(authority, name)) as channel:
            await enroll(channel)
    assert recorder.seen == [
        Caller("client-1", Role.PARTICIPANT, verified=True, participants=3),
        Caller("operator", Role.CONTROL, verified=True),
        Caller("aggregator", Role.PARTICIPANT, verified=True, participants=0),
    ]


async def test_a_caller_without_tls_or_certificate_is_refused(serve, authority, recorder):
    address = await serve()
    ca = (authority.folder / "client-1" / "ca.pem").read_bytes()
    async with (
        connect(address) as plain,
        grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca)) as nameless,
    ):
        for channel in (plain, nameless):
            assert (await refusal(channel)).code == Code.UNAVAILABLE
    assert recorder.seen == []


async def test_a_certificate_of_another_ca_is_refused(serve, authority, tmp_path, recorder):
    other = Authority.create(tmp_path / "other")
    other.issue("client-1", participants=3)
    folder = tmp_path / "other" / "client-1"
    address = await serve()
    # one caller trusts the right CA, the other one its own
    for roots in (authority.folder / "client-1", folder):
        async with grpc.aio.secure_channel(address, raw(folder, roots)) as channel:
            assert (await refusal(channel)).code == Code.UNAVAILABLE
    assert recorder.seen == []


async def test_an_expired_certificate_is_refused(serve, authority, recorder):
    past = Authority(authority.folder, lambda: datetime.now(UTC) - timedelta(days=3))
    past.issue("late", days=2)
    with pytest.raises(InvalidValue, match=r"fedsiege certs renew"):
        tls_of(authority, "late")
    address = await serve()
    async with grpc.aio.secure_channel(address, raw(authority.folder / "late")) as channel:
        assert (await refusal(channel)).code == Code.UNAVAILABLE
    assert recorder.seen == []


async def test_a_revoked_certificate_is_refused_with_the_reason(serve, authority, recorder):
    authority.revoke("client-1")
    async with connect(await serve(), tls_of(authority)) as channel:
        refused = await refusal(channel)
    assert (refused.code, refused.reason) == (Code.UNAUTHENTICATED, "CERTIFICATE_REVOKED")
    assert "client-1" in refused.message
    assert recorder.seen == []


async def test_a_participant_cannot_pass_for_the_server(authority):
    """Also with a certificate of the right CA and at the right address."""
    folder = authority.folder / "client-1"
    pair = [((folder / "key.pem").read_bytes(), (folder / "certificate.pem").read_bytes())]
    impostor = grpc.aio.server()
    rpc.add_AggregatorServiceServicer_to_server(Recorder(), impostor)
    port = impostor.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
    await impostor.start()
    authority.issue("client-2")
    async with connect(f"127.0.0.1:{port}", tls_of(authority, "client-2")) as channel:
        assert (await refusal(channel)).code == Code.UNAVAILABLE
    await impostor.stop(None)


async def test_a_server_under_the_wrong_host_name_is_refused(serve, authority, recorder):
    authority.issue("elsewhere", participants=0, hosts=["elsewhere.example"])
    async with connect(await serve("elsewhere"), tls_of(authority)) as channel:
        assert (await refusal(channel)).code == Code.UNAVAILABLE
    assert recorder.seen == []


async def test_a_connection_without_a_handshake_is_closed(serve, monkeypatch):
    options = dict(server.SERVER_OPTIONS)
    assert options["grpc.server_handshake_timeout_ms"] <= 10_000
    options["grpc.server_handshake_timeout_ms"] = 100
    monkeypatch.setattr(server, "SERVER_OPTIONS", [*options.items()])
    host, _, port = (await serve()).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


# --- and until when


async def test_revocation_holds_on_open_connections(serve, authority, recorder):
    authority.issue("client-2")
    address = await serve()
    async with (
        connect(address, tls_of(authority)) as channel,
        connect(address, tls_of(authority, "client-2")) as other,
    ):
        await enroll(channel)
        authority.revoke("client-1")
        assert (await refusal(channel)).reason == "CERTIFICATE_REVOKED"
        await enroll(other)
    assert [caller.name for caller in recorder.seen] == ["client-1", "client-2"]


async def test_a_connection_does_not_outlive_its_certificate(serve, authority, clock):
    authority.issue("brief", days=1)
    async with connect(await serve(), tls_of(authority, "brief")) as channel:
        await enroll(channel)
        clock.later = timedelta(days=1, seconds=1)
        refused = await refusal(channel)
    assert (refused.code, refused.reason) == (Code.UNAUTHENTICATED, "CERTIFICATE_EXPIRED")


async def serial_shown(address: str, bundle: Path) -> int:
    """Return the serial number of the certificate that a server shows."""
    context = ssl.create_default_context(cafile=str(bundle / "ca.pem"))
    context.load_cert_chain(bundle / "certificate.pem", bundle / "key.pem")
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    data = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(data).serial_number


async def test_a_servers_certificate_changes_without_a_restart(serve, authority):
    address = await serve()
    first, mine = authority.issued()[0], authority.folder / "client-1"
    async with connect(address, tls_of(authority)) as before:
        await enroll(before)
        assert await serial_shown(address, mine) == first.serial
        second = authority.renew("aggregator")
        assert await serial_shown(address, mine) == second.serial
        third = authority.renew("aggregator")
        assert await serial_shown(address, mine) == third.serial
        await enroll(before)
    async with connect(address, tls_of(authority)) as after:
        await enroll(after)


async def test_a_clients_certificate_changes_without_a_restart(serve, authority, recorder):
    address, tls = await serve(), tls_of(authority)
    first, version = authority.issued()[1], tls.version
    async with connect(address, tls) as before:
        await enroll(before)
        renewed = asyncio.create_task(tls.renewed(version))
        await asyncio.sleep(0)
        assert not renewed.done()
        second = authority.renew("client-1")
        assert await asyncio.wait_for(renewed, 10) == tls.version > version
        async with connect(address, tls) as after:
            authority.revoke("client-1", first.serial)
            await enroll(after)
            assert (await refusal(before)).reason == "CERTIFICATE_REVOKED"
    old, new = recorder.seen
    assert old == new, "the same caller, with another certificate"
    assert (old.proof.serial, new.proof.serial) == (first.serial, second.serial)


# --- damaged files


def damage_file(folder: Path, file: str, damage: str, other: Path) -> None:
    path = folder / file
    match damage:
        case "missing":
            path.unlink()
        case "garbled":
            path.write_text("garbage")
        case "another's":
            shutil.copy(other / file, path)


DAMAGES = [
    (file, damage)
    for file in ("certificate.pem", "key.pem", "ca.pem")
    for damage in ("missing", "garbled", "another's")
]


@pytest.fixture
def other(tmp_path) -> Path:
    """A bundle of another CA."""
    made = Authority.create(tmp_path / "other")
    made.issue("aggregator", participants=0, hosts=LOOPBACK)
    return tmp_path / "other" / "aggregator"


@pytest.mark.parametrize(("file", "damage"), DAMAGES)
def test_a_damaged_bundle_is_refused_at_the_start(authority, other, file, damage):
    damage_file(authority.folder / "aggregator", file, damage, other)
    with pytest.raises(InvalidValue, match=r"CERTS='.*\.pem' is not possible") as caught:
        tls_of(authority, "aggregator")
    assert "aggregator" in str(caught.value)


@pytest.mark.parametrize(("file", "damage"), DAMAGES)
async def test_a_bundle_damaged_later_is_logged_and_the_old_one_kept(
    serve, authority, other, caplog, file, damage
):
    address = await serve()
    folder, first = authority.folder / "aggregator", authority.issued()[0]
    damage_file(folder, file, damage, other)
    for _ in range(2):
        assert await serial_shown(address, authority.folder / "client-1") == first.serial
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 1, "once, not at every handshake"
    assert f"{folder}" in errors[0]
    assert "kept" in errors[0]
    renewed = authority.renew("aggregator")
    assert await serial_shown(address, authority.folder / "client-1") == renewed.serial


def test_another_ca_needs_a_restart(authority, other, caplog):
    tls = tls_of(authority, "aggregator")
    for file in other.iterdir():
        shutil.copy(file, authority.folder / "aggregator" / file.name)
    assert tls.version == 0
    assert "restart" in caplog.text


@pytest.mark.parametrize("damage", ["missing", "garbled", "another's"])
def test_a_server_does_not_start_without_a_revocation_list(authority, other, damage):
    tls = tls_of(authority, "aggregator")
    damage_file(authority.folder / "aggregator", "revoked.pem", damage, other)
    with pytest.raises(InvalidValue, match=r"revoked\.pem"):
        _ = tls.callers


@pytest.mark.parametrize("damage", ["missing", "garbled", "another's"])
async def test_the_last_revocation_list_is_kept_while_the_file_is_damaged(
    serve, authority, other, caplog, damage
):
    authority.revoke("client-1")
    authority.issue("client-2")
    address = await serve()
    damage_file(authority.folder / "aggregator", "revoked.pem", damage, other)
    async with (
        connect(address, tls_of(authority)) as channel,
        connect(address, tls_of(authority, "client-2")) as next_one,
    ):
        for _ in range(2):
            assert (await refusal(channel)).reason == "CERTIFICATE_REVOKED"
        assert caplog.text.count("is kept") == 1
        await enroll(next_one)
        authority.revoke("client-2")
        assert (await refusal(next_one)).reason == "CERTIFICATE_REVOKED"


async def test_a_participants_bundle_is_no_servers(authority):
    shutil.copy(authority.folder / "ca" / "revoked.pem", authority.folder / "client-1")
    with pytest.raises(InvalidValue, match="host names, which a server needs"):
        async with serving("127.0.0.1:0", lambda _: None, [], tls=tls_of(authority)):
            pass
