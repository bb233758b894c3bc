"""``fedsiege tokens``, as people type it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedsiege.cli.tokens import app
from fedsiege.errors import InvalidValue
from fedsiege.services.identity.ledger import Ledger


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch):
    """Run a command in an empty folder; return what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))
        if result.exception is not None:
            raise result.exception
        return result

    return run


def redeem(identity: str, token: str) -> None:
    ledger = Ledger(Path("admission/tokens.sqlite"))
    ledger.redeem({identity: token})
    ledger.close()


def test_tokens_are_printed_one_a_line_and_never_again(tokens):
    printed = tokens("issue", "3", "--label=mine").stdout.split()
    assert len(set(printed)) == 3
    redeem("worker/0", printed[1])
    listed = tokens("list").stdout
    assert not any(token in listed for token in printed)
    rows = [line.split()[:3] for line in listed.splitlines()]
    assert rows[0] == ["label", "state", "identity"]
    assert ["mine", "used", "worker/0"] in rows
    assert sum(row[:2] == ["mine", "unused"] for row in rows) == 2


def test_files_are_the_owners_and_none_is_written_over(tokens):
    tokens("issue", "2", "--label=client", "--out=places")
    before = {path: path.read_text() for path in Path("places").iterdir()}
    tokens("issue", "5", "--label=client", "--out=places", "--places=2")
    files = sorted(Path("places").iterdir())
    assert [path.name for path in files] == [f"client-0{n}.tokens" for n in range(1, 6)]
    assert [len(path.read_text().split()) for path in files] == [1, 1, 2, 2, 1]
    assert all(path.read_text() == text for path, text in before.items())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    every = [token for path in files for token in path.read_text().split()]
    assert len(set(every)) == 7
    for number, token in enumerate(every):
        redeem(f"p/{number}", token)


@pytest.mark.parametrize("option", ["--token", "--label", "--identity"])
def test_what_is_revoked_is_listed_as_such(tokens, option):
    (token,) = tokens("issue", "1", "--label=leaked", "--ledger=l.sqlite").stdout.split()
    ledger = Ledger(Path("l.sqlite"))
    ledger.redeem({"worker/0": token})
    ledger.close()
    value = {"--token": token, "--label": "leaked", "--identity": "worker/0"}[option]
    said = tokens("revoke", f"{option}={value}", "--ledger=l.sqlite").stdout
    assert said == "1 token revoked.\n"
    assert "revoked" in tokens("list", "--ledger=l.sqlite").stdout


def test_an_end_is_shown(tokens):
    tokens("issue", "1", "--days=2")
    (row,) = tokens("list").stdout.splitlines()[1:]
    issued, expires = row.split()[1], row.split()[3]
    assert issued < expires


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["issue", "0"], "COUNT=0"),
        (["issue", "1", "--days=-1"], "DAYS=-1"),
        (["issue", "2", "--out=f", "--per-file=0"], "PER_FILE=0"),
        (["issue", "2", "--out=f", "--label=../up"], r"LABEL='\.\./up'"),
        (["list"], "tokens.sqlite"),
        (["revoke", "--label=x"], "tokens.sqlite"),
    ],
)
def test_the_impossible_is_named_and_nothing_is_made(tokens, arguments, words):
    with pytest.raises(InvalidValue, match=words):
        tokens(*arguments)
    assert not Path("f").exists()
    ledger = Path("admission/tokens.sqlite")
    assert not ledger.exists() or Ledger(ledger).entries() == []


def test_tokens_that_cannot_be_handed_out_are_worth_nothing(tokens, monkeypatch):
    written: list[Path] = []

    def fail_at_the_third(path: Path, text: str) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)

    monkeypatch.setattr("fedsiege.cli.tokens._write", fail_at_the_third)
    with pytest.raises(Exception, match="No space left"):
        tokens("issue", "4", "--out=places")
    ledger = Ledger(Path("admission/tokens.sqlite"))
    assert sorted(one.state for one in ledger.entries()) == ["revoked"] * 2 + ["unused"] * 2
    ledger.close()
