"""Any labelled data from end to end: a table, pictures in folders, a CSV file, colour, text."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from fedsiege import datasets
from fedsiege.datasets import files
from fedsiege.errors import InvalidValue
from fedsiege.experiment.resolve import resolve
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import RunRecords
from fedsiege.services.simulator.service import choose_dataset

RANDOM = np.random.default_rng(0)


@pytest.fixture
def data() -> Path:
    return Path(os.environ.get("FEDSIEGE_DATA", "data"))


def run(tmp_path: Path, dataset: str, data: Path, *more: str) -> RunRecords:
    """Run three rounds of four participants, one of them hostile, in two workers."""
    out = tmp_path / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "fedsiege.cli.main", "sim", f"--dataset={dataset}"),
            *(f"--data={data}", f"--out={out}", "--rounds=3", "--clients=4", "--attack=0.25"),
            *("--rule=median", "--samples=16", "--batch=8", "--lr=0.05", "--workers=2", *more),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = RunRecords.read(out)
    assert [row.updates for row in records.history[1:]] == [4, 4, 4]
    assert all(np.isfinite(row.loss) for row in records.history)
    return records


def pictures(folder: Path) -> None:
    """Write bright and dark pictures of 12x12, 12 of each."""
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            shades = RANDOM.integers(level - 40, level + 40, (12, 12), dtype=np.uint8)
            Pillow.fromarray(shades).save(folder / name / f"{number}.png")


def test_a_table_of_features(tmp_path: Path) -> None:
    records = run(tmp_path, "breast-cancer", tmp_path, "--model=mlp", "--attack-name=label-flip")
    assert records.history[-1].accuracy > 0.8
    assert records.info.class_names == ("malignant", "benign")


def test_a_folder_of_pictures_outside_of_the_data_folder(tmp_path: Path) -> None:
    pictures(tmp_path / "pics")
    (tmp_path / "data").mkdir()
    more = ("--model=lenet5", "--size=28", "--augment=crop/flip", "--normalise=own")
    records = run(tmp_path, "folder:pics", tmp_path / "data", *more)
    assert records.spec.dataset.startswith("folder:size=28,normalise=own,file=/")
    assert records.info.class_names == ("dark", "light")


def test_a_csv_file_in_the_data_folder(tmp_path: Path) -> None:
    rows = [f"{x:.3f},{-x:.3f},{'high' if x > 0 else 'low'}" for x in RANDOM.normal(size=80)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n")
    records = run(tmp_path, "csv:t.csv,label=kind", tmp_path, "--model=mlp", "--epochs=5")
    assert records.history[-1].accuracy > 0.8
    assert records.info.class_names == ("high", "low")


def test_colour_pictures(tmp_path: Path, data: Path) -> None:
    if not (data / "medmnist" / "bccd.npz").is_file():
        pytest.skip("bccd is not here: set FEDSIEGE_DATA")
    records = run(tmp_path, "bccd", data, "--model=cnn")
    assert records.info.class_names == ("red cell", "white cell", "platelet")
    assert len(records.tests[3].samples) == 3


def test_a_set_for_development_is_named_as_such_in_results(tmp_path: Path, data: Path) -> None:
    if not (data / "images" / "cifar10-part.npz").is_file():
        pytest.skip("cifar10-part is not here: set FEDSIEGE_DATA")
    records = run(tmp_path, "cifar10-part", data, "--model=lenet5")
    assert any("re-encoded from JPEG" in note for note in records.info.notes)


def test_a_forbidden_file_is_refused_by_each_service_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(files.VARIABLE, raising=False)
    there = tmp_path / "secret.npz"
    np.savez(there, x=np.zeros((20, 2)), y=np.arange(20) % 2)
    (tmp_path / "data").mkdir()
    answers = set()
    for path in (there, tmp_path / "absent.npz"):
        resolved = resolve(ExperimentSpec.of({"dataset": f"npz:{path}", "model": "mlp"}))
        for ask in (
            lambda spec=resolved: choose_dataset(spec, tmp_path / "data"),
            lambda path=path: datasets.load(f"npz:{path}", tmp_path / "data"),
        ):
            with pytest.raises(InvalidValue) as found:
                ask()
            answers.add(str(found.value).replace(str(path), "PATH"))
    assert len(answers) == 1
