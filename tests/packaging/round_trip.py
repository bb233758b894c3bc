"""Imports the generated code and passes a message over gRPC; run by ``.ci/ranges``.

It is a program of its own, and no test for pytest: the interpreter sees protobuf and grpcio alone.
"""

from concurrent.futures import ThreadPoolExecutor

import google.protobuf
import grpc

from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc
from fedsiege.v1 import simulator_pb2, simulator_pb2_grpc, tensors_pb2, tensors_pb2_grpc

MODULES = (simulator_pb2, simulator_pb2_grpc, tensors_pb2, tensors_pb2_grpc)


class Echo(rpc.AggregatorServiceServicer):
    def CreateFederation(self, request, context):
        federation = pb.Federation(federation_id="here", spec=request.spec, parameters=13_106)
        return pb.CreateFederationResponse(federation=federation)


def main() -> None:
    spec = pb.FederationSpec(name="Ünïcode", model="net", seed=2**64 - 1)
    server = grpc.server(ThreadPoolExecutor(1))
    rpc.add_AggregatorServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        request = pb.CreateFederationRequest(spec=spec)
        answer = rpc.AggregatorServiceStub(channel).CreateFederation(request, timeout=10)
    server.stop(None).wait()
    assert answer.federation.spec == spec, answer
    assert pb.FederationSpec.FromString(spec.SerializeToString()) == spec
    assert all(module.__name__.startswith("fedsiege.v1") for module in MODULES)
    versions = f"protobuf {google.protobuf.__version__}, grpcio {grpc.__version__}"
    print(f"generated code runs beside {versions}")  # noqa: T201 - a program's output


if __name__ == "__main__":
    main()
