"""The examples that run experiments, run as they are written."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_comparison_has_fifteen_lines() -> None:
    assert len((EXAMPLES / "compare_rules.py").read_text().splitlines()) <= 15


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_script_compares_three_rules_over_three_seeds(tmp_path: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    command = [sys.executable, EXAMPLES / "compare_rules.py"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "compare_rules.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "runs").glob("*/model.safetensors"))) == 9


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_notebook_runs_experiments_one_after_the_other(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "two_runs.ipynb", as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, kernel_name="python3", timeout=300, resources=where).execute()
    shown = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    for cell in ("first", "second", "await"):
        assert "round 5/5: accuracy" in "".join(one.get("text", "") for one in shown[cell])
        assert "<th>rule</th>" in shown[cell][-1]["data"]["text/html"]
    assert "image/png" in shown["plot"][-1]["data"]
    assert len(list((tmp_path / "runs").iterdir())) == 3
