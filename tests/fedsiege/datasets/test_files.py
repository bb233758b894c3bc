"""A data set's file is in the data folder or was permitted; others are answered alike."""

from pathlib import Path

import numpy as np
import pytest

from fedsiege import datasets
from fedsiege.datasets import files
from fedsiege.errors import InvalidValue, MissingData


@pytest.fixture(autouse=True)
def no_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(files.VARIABLE, "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write(path: Path) -> Path:
    np.savez(path, x=np.zeros((20, 3)), y=np.arange(20) % 2)
    return path


def test_a_file_outside_is_answered_like_one_that_does_not_exist(
    root: Path, tmp_path: Path
) -> None:
    outside = write(tmp_path / "outside.npz")
    answers = []
    for given in (
        outside,
        tmp_path / "absent.npz",
        "../outside.npz",
        "../absent.npz",
        root / ".." / "outside.npz",
        "a/../../outside.npz",
    ):
        with pytest.raises(InvalidValue) as found:
            datasets.load(f"npz:{given}", root)
        assert found.value.value == str(given)
        answers.append(found.value.allowed)
    assert len(set(answers)) == 1


def test_a_permitted_file_is_read_here_and_in_processes_started_from_here(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = write(tmp_path / "outside.npz")
    monkeypatch.chdir(tmp_path)
    text = datasets.permit("npz:outside.npz,test=0.5", root)
    assert text == f"npz:file={outside},test=0.5"
    assert files.os.environ[files.VARIABLE] == str(outside)  # which children inherit
    assert len(datasets.load(text, root).test_labels) == 10
    with pytest.raises(InvalidValue, match="the command on this machine was given"):
        datasets.load(f"npz:{tmp_path / 'other.npz'}", root)


def test_a_file_in_the_data_folder_needs_no_permission(root: Path) -> None:
    write(root / "mine.npz")
    for given in ("npz:mine.npz", f"npz:{root / 'mine.npz'}", "npz:file=mine.npz"):
        text = datasets.permit(given, root)
        assert str(root) not in text  # containers have it elsewhere
        assert len(datasets.load(text, root).train_labels) == 16
    assert not files.os.environ[files.VARIABLE]


def test_containers_take_files_in_the_data_folder_only(root: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside.npz")
    with pytest.raises(InvalidValue, match="containers have no other folder"):
        datasets.permit(f"npz:{outside}", root, outside=False)


def test_a_missing_file_is_named(root: Path) -> None:
    with pytest.raises(MissingData, match=r"npz:file='absent.npz'.*there is no .*absent\.npz"):
        datasets.permit("npz:absent.npz", root)
    with pytest.raises(MissingData, match=r"absent\.npz does not exist"):
        datasets.load("npz:absent.npz", root)


def test_other_data_sets_need_no_permission(root: Path) -> None:
    for text in ("auto", "digits", "mnist:size=32", "nonsense"):
        assert datasets.permit(text, root) == text


def test_a_name_with_a_comma_is_refused_in_words(root: Path) -> None:
    write(root / "a,b.npz")
    with pytest.raises(InvalidValue, match="write it as npz:FILE,key=value"):
        datasets.parse("npz:a,b.npz,test=0.5")
