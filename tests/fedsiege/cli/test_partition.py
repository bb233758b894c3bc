"""``fedsiege partition``: the picture, the number, and what is refused."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedsiege.cli.partition import app
from fedsiege.errors import InvalidValue

OPTIONS = ["--dataset=digits", "--partition=pathological:2", "--clients=20", "--samples=20"]


def shown(*words: str) -> str:
    done = CliRunner().invoke(app, [*words], catch_exceptions=False, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


def test_it_draws_who_has_what_and_says_the_heterogeneity(tmp_path: Path) -> None:
    picture = tmp_path / "who.png"
    text = shown(*OPTIONS, f"--out={picture}")
    drawn = [line[3:23] for line in text.splitlines() if re.match(r"\d  ", line)]
    assert len(drawn) == 10
    for column in zip(*drawn, strict=True):
        assert sorted(column) == ["·"] * 8 + ["▓"] * 2
    # Two halves against ten near-tenths: 1/2 (2 (0.5 - 0.1) + 8 * 0.1).
    found = re.search(r"heterogeneity (0\.\d+): .*; (0\.\d+) for random shares", text)
    assert found is not None
    assert float(found[1]) == pytest.approx(0.8, abs=0.01)
    assert 0.2 < float(found[2]) < 0.35
    assert "samples of a participant: 20; classes: 2" in text
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_assignments_are_options_and_the_seed_decides() -> None:
    words = [one.removeprefix("--").upper() for one in OPTIONS]
    words = [f"{word.partition('=')[0]}={word.partition('=')[2].lower()}" for word in words]
    assert shown(*words) == shown(*OPTIONS)
    assert shown(*OPTIONS, "--seed=1") != shown(*OPTIONS)


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    for words, problem in (
        (["--out=who.pdf"], "a new file that ends with .png"),
        (["--partition=natural"], "data sets that say to whom each sample belongs"),
        (["--partition=pathologic:2"], "did you mean pathological"),
        (["--samples=2000"], "partition sample draws with replacement|at most"),
    ):
        with pytest.raises(InvalidValue, match=problem):
            CliRunner().invoke(app, [*OPTIONS, *words], catch_exceptions=False)
