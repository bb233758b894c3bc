"""The files of a run are listed once."""

from collections.abc import Callable
from pathlib import Path

from fedsiege.results.files import files


def test_every_file_that_a_run_leaves_is_listed(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    left = {one.name for one in write_run(tmp_path / "run").iterdir()}
    assert left <= {one.name for one in files()}
    assert {"spec.yaml", "run.json", "history.csv", "participants.csv"} <= left
