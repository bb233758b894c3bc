"""Show a certificate that another authority has signed."""

import tempfile
from pathlib import Path

import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from services.attacker.intrusions.base import Attempts, Foothold, Intrusion
from services.wire.channel import connect

#: Seconds that a handshake gets.
_PATIENCE = 10.0


class ForeignCertificate(Intrusion):
    """Makes an authority of its own, which vouches for whoever it likes."""

    name = "foreign-certificate"

    async def attempt(self, foothold: Foothold, count: int) -> Attempts:
        """Call with such a certificate; without TLS there is nothing to try."""
        # Importing the cryptography library costs memory that few attackers need.
        from services.wire.authority import Authority
        from services.wire.tls import Tls

        attempts = Attempts()
        if foothold.certificates is None:
            return attempts
        with tempfile.TemporaryDirectory() as folder:
            Authority.create(Path(folder)).issue("client-01")
            bundle = Path(folder) / "client-01"
            # It trusts the real aggregator, as everyone does, and hopes that this is mutual.
            genuine = foothold.certificates / "ca.pem"
            (bundle / "ca.pem").write_bytes(genuine.read_bytes())
            for _ in range(count):
                async with connect(foothold.address, Tls(bundle)) as channel:
                    stub = rpc.AggregatorServiceStub(channel)
                    request = pb.GetFederationRequest(federation_id=foothold.federation_id)
                    try:
                        await stub.GetFederation(request, timeout=_PATIENCE)
                    except grpc.aio.AioRpcError as error:
                        attempts.refused(error)
                    else:
                        attempts.passed()
        return attempts
