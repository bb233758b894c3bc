"""HTTP/2 frames written by hand, for behaviour that no gRPC library permits."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

#: Seconds after which a test fails.
LONG = 15
SERVICE = "/fedsiege.v1.AggregatorService/"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(stream: int, method: str) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": SERVICE + method,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        "name": "raw",
    }
    packed = [bytes([0, len(key)]) + key.encode() + bytes([len(value)]) + value.encode()
              for key, value in fields.items()]  # fmt: skip
    return frame(1, 4, stream, b"".join(packed))


DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
EMPTY_MESSAGE = bytes(5)


class RawLine:
    """One HTTP/2 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, window: int = 65_535) -> "RawLine":
        line = cls(*await asyncio.open_connection("127.0.0.1", port))
        line.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        line.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window)))
        return line

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def frames(self) -> AsyncIterator[tuple[int, int, int, bytes]]:
        """Yield kind, flags, stream and payload until the server hangs up."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                if kind in (SETTINGS, PING) and not flags & 1:
                    self.send(frame(kind, 1, 0, payload if kind == PING else b""))
                yield kind, flags, stream, payload

    async def trailers(self, stream: int) -> bytes:
        """Return the headers that end a stream."""
        async with asyncio.timeout(LONG):
            async for kind, flags, number, payload in self.frames():
                if kind == HEADERS and flags & 1 and number == stream:
                    return payload
        raise AssertionError("the server hung up")

    def close(self) -> None:
        self._writer.close()
