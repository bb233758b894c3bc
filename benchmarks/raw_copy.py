"""The reference for a pull: the same bytes through a blocking socket between two processes.

``python -m benchmarks.raw_copy`` prints the MiB/s of each copy as JSON on its last line. A copy
before them, which allocates memory, is not counted.
"""

import argparse
import json
import os
import socket
import time

_GO = b"!"
_UNCOUNTED = 1


def main() -> None:
    """Parse the command line and copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=64)
    parser.add_argument("--copies", type=int, default=10)
    options = parser.parse_args()
    size = options.mebibytes << 20
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if child == 0:
            _send(listener, size, options.copies)
            os._exit(0)
        speeds = _receive(listener.getsockname(), size, options.copies)
        os.waitpid(child, 0)
    print(json.dumps({"mebibytes_per_second": speeds}))


def _send(listener: socket.socket, size: int, copies: int) -> None:
    """Send the whole buffer for each request."""
    payload = bytearray(os.urandom(1 << 20)) * (size >> 20)
    connection, _ = listener.accept()
    with connection:
        for _ in range(copies + _UNCOUNTED):
            connection.recv(1)
            connection.sendall(payload)


def _receive(address: tuple[str, int], size: int, copies: int) -> list[float]:
    """Request the buffer; return the speed of each copy, from the request to the last byte."""
    target = memoryview(bytearray(size))
    speeds = []
    with socket.create_connection(address) as connection:
        for _ in range(copies + _UNCOUNTED):
            begin, filled = time.perf_counter(), 0
            connection.sendall(_GO)
            while filled < size:
                count = connection.recv_into(target[filled:])
                if count == 0:
                    raise ConnectionError(f"the connection ended after {filled} of {size} bytes")
                filled += count
            speeds.append((size >> 20) / (time.perf_counter() - begin))
    return speeds[_UNCOUNTED:]


if __name__ == "__main__":
    main()
