"""Tests of the server of all services: health, reflection, graceful shutdown, its address."""

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fedsiege.errors import InvalidValue
from fedsiege.services.rpc import server
from fedsiege.services.rpc.channel import connect
from fedsiege.services.rpc.server import serving
from fedsiege.v1 import aggregator_pb2 as pb
from fedsiege.v1 import aggregator_pb2_grpc as rpc

NAME = "fedsiege.v1.AggregatorService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Slow(rpc.AggregatorServiceServicer):
    """A servicer that answers when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.cut = asyncio.Event()

    async def Enroll(self, request, context):
        self.asked.set()
        try:
            await self.answer.wait()
        except asyncio.CancelledError:
            self.cut.set()
            raise
        return pb.EnrollResponse(memberships=[pb.Membership(identity="in time")])


@pytest.fixture
def slow() -> Slow:
    return Slow()


def running(slow: Slow, address: str = "127.0.0.1:0"):
    return serving(
        address, lambda one: rpc.add_AggregatorServiceServicer_to_server(slow, one), [NAME]
    )


def enroll(channel: grpc.aio.Channel) -> "asyncio.Future[pb.EnrollResponse]":
    call = rpc.AggregatorServiceStub(channel).Enroll(pb.EnrollRequest(), timeout=10)
    return asyncio.ensure_future(awaited(call))


async def awaited(call) -> pb.EnrollResponse:
    return await call


@pytest.mark.parametrize("service", ["", NAME])
async def test_health_says_serving(slow, service):
    async with running(slow) as port, connect(f"127.0.0.1:{port}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        request = health_pb2.HealthCheckRequest(service=service)
        assert (await check(request)).status == SERVING


async def test_health_of_an_unknown_service_is_not_found(slow):
    async with running(slow) as port, connect(f"127.0.0.1:{port}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(health_pb2.HealthCheckRequest(service="fedsiege.v1.Nothing"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_its_services(slow):
    async with running(slow) as port, connect(f"127.0.0.1:{port}") as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
        ]
        listed, file = [answer async for answer in ask(iter(requests))]
        names = {service.name for service in listed.list_services_response.service}
        assert names == {
            NAME,
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        assert b"SubmitUpdate" in b"".join(file.file_descriptor_response.file_descriptor_proto)


async def test_at_shutdown_health_says_so_and_open_calls_finish(slow):
    ending = asyncio.Event()

    async def serve(port: "asyncio.Future[int]") -> None:
        async with running(slow) as number:
            port.set_result(number)
            await ending.wait()

    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    served = asyncio.create_task(serve(port))
    address = f"127.0.0.1:{await port}"
    async with connect(address) as channel, connect(address) as late:
        inside = enroll(channel)
        await asyncio.wait_for(slow.asked.wait(), 10)
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=NAME), timeout=10
        )
        states = aiter(watch)
        assert (await anext(states)).status == SERVING
        ending.set()
        assert (await anext(states)).status == NOT_SERVING
        watch.cancel()
        assert not inside.done()
        assert not served.done()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await enroll(late)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        slow.answer.set()
        assert (await inside).memberships[0].identity == "in time"
        await asyncio.wait_for(served, 10)


async def test_calls_longer_than_the_grace_are_cancelled(slow, monkeypatch):
    monkeypatch.setattr(server, "GRACE", 0.05)
    async with AsyncExitStack() as stack:
        async with running(slow) as port:
            channel = await stack.enter_async_context(connect(f"127.0.0.1:{port}"))
            inside = enroll(channel)
            await asyncio.wait_for(slow.asked.wait(), 10)
        await asyncio.wait_for(slow.cut.wait(), 10)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await inside


async def test_an_error_in_the_block_stops_the_server(slow):
    with pytest.raises(ZeroDivisionError):
        async with running(slow) as port:
            raise ZeroDivisionError
    async with running(slow, f"127.0.0.1:{port}") as again:
        assert again == port


@pytest.mark.parametrize("address", ["nowhere.invalid:1", "127.0.0.1:99999", "no address"])
async def test_an_invalid_address_is_named(slow, address):
    with pytest.raises(InvalidValue, match="address=") as caught:
        async with running(slow, address):
            pass
    assert caught.value.value == address


async def test_a_second_server_on_a_port_is_refused(slow):
    async with running(slow) as port:
        with pytest.raises(InvalidValue, match=f"127.0.0.1:{port}.*it is in use"):
            async with running(slow, f"127.0.0.1:{port}"):
                pass
