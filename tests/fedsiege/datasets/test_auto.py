"""auto prefers MNIST and says loudly when it does not; a named data set never falls back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fedsiege import datasets
from fedsiege.datasets.download import Download
from fedsiege.errors import InvalidValue, MissingData


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Make downloads fail at once and note which were tried, and with what patience."""
    tried: list[tuple[str, float]] = []

    def fail(self: Download, root: Path, limit_s: float) -> None:
        tried.append((self.title, limit_s))
        raise MissingData(f"{self.title} is not in {root}/ and could not be downloaded within 5 s")

    monkeypatch.setattr(Download, "into", fail)
    return tried


def test_mnist_is_taken_where_it_is(root: Path, downloads: list[tuple[str, float]]) -> None:
    assert datasets.resolve("auto", root) == ("mnist", "using mnist, 70,000 handwritten digits")
    assert downloads == []


def test_digits_are_taken_otherwise_and_that_is_said(
    tmp_path: Path, downloads: list[tuple[str, float]]
) -> None:
    name, sentence = datasets.resolve("auto", tmp_path, patience_s=2.5)
    assert name == "digits"
    assert sentence == (
        f"MNIST is not in {tmp_path}/ and could not be downloaded within 5 s: "
        "using digits, 1,797 real handwritten digits from scikit-learn"
    )
    assert downloads == [("MNIST", 2.5)]


def test_a_download_that_works_is_said_too(
    tmp_path: Path, write_mnist: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Download, "into", lambda self, root, limit_s: write_mnist(root / "MNIST" / "raw")
    )
    name, sentence = datasets.resolve("auto", tmp_path)
    assert name == "mnist"
    assert f"downloaded into {tmp_path}/" in sentence
    assert len(datasets.load("mnist", tmp_path).train_labels) == 30


@pytest.mark.parametrize(("name", "title"), [("mnist", "MNIST"), ("fashion", "Fashion-MNIST")])
def test_a_named_data_set_never_falls_back(
    name: str, title: str, tmp_path: Path, downloads: list[tuple[str, float]]
) -> None:
    for ask in (datasets.resolve, datasets.load):
        with pytest.raises(MissingData, match=f"^{title} is not in"):
            ask(name, tmp_path)
    assert downloads == [(title, 600.0)] * 2


def test_damaged_files_are_not_taken_for_absent_ones(
    root: Path, downloads: list[tuple[str, float]]
) -> None:
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(b"")
    name, _ = datasets.resolve("auto", root)
    with pytest.raises(MissingData, match="t10k-labels-idx1-ubyte"):
        datasets.load(name, root)
    assert downloads == []


def test_digits_need_no_folder(downloads: list[tuple[str, float]]) -> None:
    assert datasets.resolve("digits", Path("/nonexistent"))[0] == "digits"
    assert downloads == []


def test_an_unknown_name_lists_auto_too(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidValue, match=r"dataset='cifar'.*digits, emnist, fashion, .*, mnist, .*, auto$"
    ):
        datasets.resolve("cifar", tmp_path)
