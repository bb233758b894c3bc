"""Call with a certificate that another CA has signed."""

import tempfile
from pathlib import Path

import grpc

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.services.rpc.channel import channel_options
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

#: Time limit of a call, in seconds.
_TIME_LIMIT = 10.0


class ForeignCertificate(Intrusion):
    """Call with a certificate that another CA has signed.

    The intruder makes a CA of its own, and with it a certificate in the name of a client. It aims
    at being taken for that client. It trusts the federation's CA, so that only the server can
    refuse the connection: the handshake fails. Without TLS there is nothing to try.

    Source:
        FedSiege's own: see :doc:`/admission`.
    """

    name = "foreign-certificate"

    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Call with such a certificate; without TLS there is no attempt."""
        if context.certificates is None:
            return
        # It trusts the federation's CA, so that only the server can refuse the connection.
        trusted = (context.certificates / "ca.pem").read_bytes()
        certificate, key = _forge("client-01")
        credentials = grpc.ssl_channel_credentials(trusted, key, certificate)
        for _ in range(count):
            async with grpc.aio.secure_channel(
                context.address, credentials, options=channel_options(context.address)
            ) as channel:
                stub = rpc.AggregatorServiceStub(channel)
                request = pb.GetFederationRequest(federation_id=context.federation_id)
                try:
                    await stub.GetFederation(request, timeout=_TIME_LIMIT)
                except grpc.aio.AioRpcError as error:
                    attempts.refused(error)
                else:
                    attempts.passed()


def _forge(name: str) -> tuple[bytes, bytes]:
    """Return a certificate for a name and its key, both in PEM form, from a new CA."""
    # Imported here because the cryptography library takes memory that few attackers need.
    from fedsiege.services.identity.authority import Authority

    with tempfile.TemporaryDirectory() as folder:
        Authority.create(Path(folder)).issue(name)
        bundle = Path(folder) / name
        return (bundle / "certificate.pem").read_bytes(), (bundle / "key.pem").read_bytes()
