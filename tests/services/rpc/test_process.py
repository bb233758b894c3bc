"""Tests of the start and the stop of a service process."""

import asyncio
import logging
import os
import signal

import pytest

from fedsiege.services.rpc import process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_after_its_cleanup(number):
    happened = []

    async def serve() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            happened.append("cleaned up")

    before = signal.getsignal(number)
    process.run(serve)
    assert happened == ["cleaned up"]
    assert signal.getsignal(number) == before


def test_an_error_is_not_swallowed():
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        process.run(fail)


def test_it_ends_when_its_coroutine_ends():
    async def work() -> None:
        await asyncio.sleep(0)

    process.run(work)


def test_allocator_variables_of_the_environment_take_precedence(monkeypatch):
    def never(_: object) -> None:
        raise AssertionError("the C library was asked")

    monkeypatch.setattr("ctypes.CDLL", never)
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1")
    process.tune_allocator()
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_")
    monkeypatch.setattr("sys.platform", "darwin")
    process.tune_allocator()


def test_a_c_library_without_mallopt_is_no_error(monkeypatch):
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    process.tune_allocator()


def test_both_thresholds_are_set(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, parameter: int, value: int) -> None:
            calls.append((parameter, value))

    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda _: Library())
    process.tune_allocator()
    assert calls == [(-3, 67_108_864), (-1, 268_435_456)], "M_MMAP_ and M_TRIM_THRESHOLD"


def test_a_log_line_names_its_service(capsys):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        process.set_up_logging("aggregator", "WARNING")
        logging.getLogger("any").info("not this")
        logging.getLogger("any").warning("but this")
    finally:
        root.handlers[:], root.level = handlers, level
    written = capsys.readouterr().err
    assert "aggregator" in written
    assert "WARNING but this" in written
    assert "not this" not in written
