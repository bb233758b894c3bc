"""Show a certificate that another authority has signed."""

import tempfile
from pathlib import Path

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.attacker.intrusions.base import Attempts, Foothold, Intrusion
from services.rpc.channel import channel_options

#: Seconds that a handshake gets.
_PATIENCE = 10.0


class ForeignCertificate(Intrusion):
    """Makes an authority of its own, which vouches for whoever it likes."""

    name = "foreign-certificate"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Call with such a certificate; without TLS there is nothing to try."""
        if foothold.certificates is None:
            return
        # It trusts the genuine authority, as everyone does, and hopes that this is mutual.
        genuine = (foothold.certificates / "ca.pem").read_bytes()
        certificate, key = _forge("client-01")
        credentials = grpc.ssl_channel_credentials(genuine, key, certificate)
        for _ in range(count):
            async with grpc.aio.secure_channel(
                foothold.address, credentials, options=channel_options(foothold.address)
            ) as channel:
                stub = rpc.AggregatorServiceStub(channel)
                request = pb.GetFederationRequest(federation_id=foothold.federation_id)
                try:
                    await stub.GetFederation(request, timeout=_PATIENCE)
                except grpc.aio.AioRpcError as error:
                    attempts.refused(error)
                else:
                    attempts.passed()


def _forge(name: str) -> tuple[bytes, bytes]:
    """Return a certificate in that name and its key, signed by nobody that anybody knows."""
    # Importing the cryptography library costs memory that few attackers need.
    from services.identity.authority import Authority

    with tempfile.TemporaryDirectory() as folder:
        Authority.create(Path(folder)).issue(name)
        bundle = Path(folder) / name
        return (bundle / "certificate.pem").read_bytes(), (bundle / "key.pem").read_bytes()
