"""What a peer says is shown on one line, without what a terminal would obey, and not for ever."""

import logging

import grpc
from hypothesis import given
from hypothesis import strategies as st

from fedsiege.peer_text import plain
from fedsiege.services.errors import Refusal
from fedsiege.services.rpc import process
from tests.cases import each

FORGED = "no\n12:00:00 simulator  INFO    all is well\r\x1b[2J\x1b]0;gone\x07\x9b1A\u202e\x00"


@each(
    ("text", "shown"),
    [
        ("", ""),
        ("all is well", "all is well"),
        ("zwölf 二 …", "zwölf 二 …"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("\ud800", r"\ud800"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300 + "… (301 characters)"),
    ],
)
def test_a_text_is_shown_as(text, shown):
    assert plain(text) == shown


@given(st.text(st.characters(exclude_categories=[])), st.integers(1, 50))
def test_whatever_is_said_is_one_printable_line_of_bounded_length(text, longest):
    shown = plain(text, longest)
    assert shown.isprintable()
    assert shown.splitlines() in ([], [shown])
    assert len(shown) <= longest + len(f"… ({len(text)} characters)")


def test_a_log_has_a_line_for_each_event(capsys):
    process.set_up_logging("simulator")
    log = logging.getLogger("test")
    log.info("worker says %s", FORGED)
    log.info("%s", "x" * 100_000)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("it failed")
    written = capsys.readouterr().err
    lines = written.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    events = [line for line in lines if not line.startswith("  | ")]
    assert len(events) == 3, "nothing that was said looks like an event of its own"
    assert len(events[1]) < 2_100
    assert any(line.startswith("  | ValueError: no") for line in lines)


def test_a_refusal_from_a_peer_is_one_line():
    shown = str(Refusal(grpc.StatusCode.INTERNAL, "", FORGED * 1_000))
    assert shown.startswith(r"INTERNAL: no\n12:00:00 simulator  INFO    all is well\r\x1b[2J")
    assert shown.isprintable()
    assert len(shown) < 1_500
