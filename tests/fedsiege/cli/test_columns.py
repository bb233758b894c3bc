"""The columns of the result files are described, and docs/results.md is up to date."""

from pathlib import Path

import pytest

from fedsiege.cli.columns import columns
from fedsiege.errors import InvalidValue
from fedsiege.results import HistoryRow


def test_docs_results_md_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    columns()
    written = Path(__file__).parents[3] / "docs" / "results.md"
    assert written.read_text() == capsys.readouterr().out, "run: fedsiege columns > docs/results.md"


def test_one_file_alone(capsys: pytest.CaptureFixture[str]) -> None:
    columns("history.csv")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "## history.csv"
    named = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert named == HistoryRow.header()
    with pytest.raises(InvalidValue, match=r"FILE='hist\.csv' .* history\.csv"):
        columns("hist.csv")
