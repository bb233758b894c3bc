"""The ledger of tokens: each token enrols one identity, however many ask at the same time."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.services.errors import ServiceError
from fedsiege.services.identity import ledger as module
from fedsiege.services.identity.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path):
    made = Ledger(tmp_path / "new" / "tokens.sqlite")
    yield made
    made.close()


def refused(ledger: Ledger, **tokens: str) -> str:
    with pytest.raises(ServiceError) as caught:
        ledger.redeem(tokens)
    assert not any(token and token in caught.value.message for token in tokens.values())
    return caught.value.reason


def bound(ledger: Ledger) -> set[str | None]:
    return {one.identity for one in ledger.entries()} - {None}


def pass_time(monkeypatch, days: float) -> None:
    now = module.time.time() + days * 86_400
    monkeypatch.setattr(module.time, "time", lambda: now)


def test_tokens_differ_and_only_their_digests_are_kept(ledger):
    tokens = ledger.issue(50, "client")
    assert len(set(tokens)) == 50
    assert {len(token) for token in tokens} == {43}, "32 random bytes"
    ledger.redeem({"a": tokens[0]})
    kept = b"".join(path.read_bytes() for path in ledger.path.parent.iterdir())
    assert b"client" in kept
    assert not any(token.encode() in kept for token in tokens)
    assert ledger.path.stat().st_mode & 0o077 == 0


def test_a_token_is_bound_to_the_first_identity(ledger):
    (token,) = ledger.issue(1)
    for _ in range(3):
        ledger.redeem({"a": token})
    assert refused(ledger, b=token) == "TOKEN_USED"
    assert bound(ledger) == {"a"}


@pytest.mark.parametrize(
    ("shown", "reason"),
    [("", "TOKEN_MISSING"), ("x" * 43, "UNKNOWN_TOKEN"), ("\ud800", "UNKNOWN_TOKEN")],
)
def test_one_bad_token_refuses_the_whole_call(ledger, shown, reason):
    good, other = ledger.issue(2)
    assert refused(ledger, a=good, b=shown, c=other) == reason
    assert bound(ledger) == set()
    ledger.redeem({"other": good})


def test_one_token_for_two_identities_in_one_call_is_refused(ledger):
    (token,) = ledger.issue(1)
    assert refused(ledger, a=token, b=token) == "TOKEN_USED"
    assert bound(ledger) == set()


def test_an_enrolled_identity_cannot_be_taken_with_another_token(ledger):
    victims, mine = ledger.issue(2)
    ledger.redeem({"victim": victims})
    assert refused(ledger, victim=mine) == "WRONG_TOKEN"
    ledger.redeem({"me": mine})


def test_an_unused_token_expires_and_a_used_one_does_not(ledger, monkeypatch):
    used, unused, later = *ledger.issue(2, days=1), *ledger.issue(1, days=3)
    ledger.redeem({"a": used})
    pass_time(monkeypatch, days=2)
    assert refused(ledger, b=unused) == "TOKEN_EXPIRED"
    ledger.redeem({"a": used})
    ledger.redeem({"b": later})
    assert sorted(one.state for one in ledger.entries()) == ["expired", "used", "used"]


@pytest.mark.parametrize("by", ["token", "label", "identity"])
def test_revoked_tokens_are_refused(ledger, by):
    token, other = *ledger.issue(1, "mine"), *ledger.issue(1, "others")
    ledger.redeem({"a": token, "b": other})
    assert ledger.revoked_identities() == set()
    given = {"token": token, "label": "mine", "identity": "a"}[by]
    assert ledger.revoke(**{by: given}) == 1
    assert ledger.revoke(**{by: given}) == 0, "it is revoked already"
    assert ledger.revoked_identities() == {"a"}
    assert refused(ledger, a=token) == refused(ledger, x=token) == "TOKEN_REVOKED"
    ledger.redeem({"b": other})


def test_an_identity_can_enrol_again_with_a_new_token(ledger):
    old, new = ledger.issue(2)
    ledger.redeem({"a": old})
    ledger.revoke(identity="a")
    ledger.redeem({"a": new})
    assert ledger.revoked_identities() == set()
    assert refused(ledger, a=old) == "TOKEN_REVOKED"
    ledger.revoke(identity="a")
    assert ledger.revoked_identities() == {"a"}


def test_revoking_an_unused_token_revokes_no_identity(ledger):
    (token,) = ledger.issue(1, "x")
    assert ledger.revoke(label="x") == 1
    assert ledger.revoked_identities() == set()
    assert refused(ledger, a=token) == "TOKEN_REVOKED"


@pytest.mark.parametrize("given", [{}, {"label": "a", "identity": "b"}, {"label": "unknown"}])
def test_impossible_revocations_are_refused(ledger, given):
    ledger.issue(1, "a")
    with pytest.raises(InvalidValue):
        ledger.revoke(**given)
    assert [one.state for one in ledger.entries()] == ["unused"]
    with pytest.raises(InvalidValue) as caught:
        ledger.revoke(token="very-secret")
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("count", "label", "days"),
    [(0, "", None), (100_001, "", None), (1, "x" * 101, None), (1, "a\nb", None), (1, "", 0)],
)
def test_arguments_out_of_range_are_refused(ledger, count, label, days):
    with pytest.raises(InvalidValue):
        ledger.issue(count, label, days)
    assert ledger.entries() == []


def test_one_token_shown_by_many_at_once_enrols_one(ledger):
    (token,) = ledger.issue(1)
    start = threading.Barrier(8)

    def show(identity: str) -> str:
        own = Ledger(ledger.path)
        start.wait()
        try:
            own.redeem({identity: token})
        except ServiceError as error:
            return error.reason
        finally:
            own.close()
        return "enrolled"

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(show, "abcdefgh"))
    assert answers == [*["TOKEN_USED"] * 7, "enrolled"]
    assert len(bound(ledger)) == 1


def test_threads_share_one_ledger(ledger):
    tokens = ledger.issue(40)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: ledger.redeem({f"p{i}": tokens[i]}), range(40)))
    assert len(bound(ledger)) == 40


def test_revocations_of_another_process_are_seen(ledger):
    (token,) = ledger.issue(1)
    ledger.redeem({"a": token})
    assert ledger.revoked_identities() == set()
    code = (
        "import sys, pathlib; from fedsiege.services.identity.ledger import Ledger\n"
        "Ledger(pathlib.Path(sys.argv[1])).revoke(identity='a')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(ledger.path)], check=True, timeout=30)
    assert ledger.revoked_identities() == {"a"}


def test_the_tokens_are_not_read_again_without_a_change(ledger):
    ledger.redeem(dict(zip("abc", ledger.issue(3), strict=True)))
    ledger.revoke(identity="a")
    assert ledger.revoked_identities() == {"a"}
    statements: list[str] = []
    ledger._database.set_trace_callback(statements.append)
    assert ledger.revoked_identities() == {"a"}
    assert statements == ["PRAGMA data_version"]


def test_the_ledger_survives_a_restart(ledger):
    used, unused = ledger.issue(2, "kept")
    ledger.redeem({"a": used})
    again = Ledger(ledger.path)
    assert refused(again, b=used) == "TOKEN_USED"
    again.redeem({"b": unused})
    assert [one.label for one in again.entries()] == ["kept", "kept"]
    again.close()


def test_a_file_that_is_no_ledger_is_refused_by_name(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be read as one" * 20)
    with pytest.raises(FedSiegeError, match="notes"):
        Ledger(path)


def test_waiting_for_another_process_has_a_limit(ledger, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    impatient = Ledger(ledger.path)
    with ledger._writing(), pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.issue(1)
    impatient.close()
