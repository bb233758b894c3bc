"""The readers of published sets, on small files of the real formats, which the tests write."""

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from sklearn.datasets import load_breast_cancer

from fedsiege import datasets, torchvision_import
from fedsiege.datasets import cifar, file_download
from fedsiege.datasets.emnist import Emnist
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.inputs import Features, Image, Tokens

RANDOM = np.random.default_rng(0)
Write = Callable[[Path, "np.typing.NDArray[np.uint8]"], None]


def pixels(count: int, *shape: int) -> "np.typing.NDArray[np.uint8]":
    return RANDOM.integers(0, 256, (count, *shape), dtype=np.uint8)


# Nothing is there.


def test_an_absent_set_says_which_file_it_looked_for_where_it_can_be_had_and_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_download, "unreachable", lambda url: "no route")
    monkeypatch.setattr("fedsiege.datasets.download._run", lambda *_: "(no network)")
    for source in datasets.registry:
        if not (published := source().published) or source.name == "chestmnist":
            continue
        with pytest.raises(MissingData) as found:
            datasets.load(source.name, tmp_path)
        for one in published:
            for part in (str(tmp_path / one.file), one.url, one.md5):
                assert part in str(found.value), source.name
            assert len(one.md5) == 32


# EMNIST.


def test_emnist_is_read_by_split(write_idx: Write, tmp_path: Path) -> None:
    for split, classes in (("digits", 10), ("balanced", 47), ("byclass", 62)):
        for part, count in (("train", 70), ("test", 62)):
            stem = tmp_path / "EMNIST" / "raw" / f"emnist-{split}-{part}"
            labels = (np.arange(count) % classes).astype(np.uint8)
            write_idx(Path(f"{stem}-images-idx3-ubyte"), pixels(count, 28, 28))
            write_idx(Path(f"{stem}-labels-idx1-ubyte"), labels)
        data = datasets.load(f"emnist:split={split}", tmp_path)
        assert data.inputs == Image(classes=classes)
        theirs = torchvision_import.load().datasets.EMNIST.classes_split_dict[split]
        assert list(data.class_names) == theirs
        files = [Path(one.file).name for one in Emnist(split=split).published]
        assert files[0] == f"emnist-{split}-train-images-idx3-ubyte"
        assert len(data.train_labels) == 70
    stem = tmp_path / "EMNIST" / "raw" / "emnist-digits-test"
    write_idx(Path(f"{stem}-labels-idx1-ubyte"), np.full(62, 10, np.uint8))
    with pytest.raises(MissingData, match="the label 10; 0 to 9 are possible"):
        datasets.load("emnist", tmp_path)


# CIFAR.


def batch(path: Path, count: int, key: str, classes: int, protocol: int = 2) -> bytes:
    """Write a pickled batch; return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data, labels = pixels(count, 3072), [n % classes for n in range(count)]
    path.write_bytes(pickle.dumps({"data": data, key: labels, "filenames": ["a"]}, protocol))
    return data.tobytes()


def test_cifar10_is_read_from_torchvisions_files_without_running_them(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    files = [folder / f"data_batch_{number}" for number in range(1, 6)]
    protocols = (0, 1, 2, 3, 4)  # theirs is 2
    written = b"".join(
        batch(file, 20, "labels", 10, protocol)
        for file, protocol in zip(files, protocols, strict=True)
    )
    tested = batch(folder / "test_batch", 20, "labels", 10)
    data = datasets.load("cifar10", tmp_path)
    assert data.inputs == Image(3, 32, 32, 10)
    assert data.train_samples.transpose(0, 3, 1, 2).tobytes() == written
    assert data.test_samples.transpose(0, 3, 1, 2).tobytes() == tested
    assert data.train_labels.tolist() == list(range(10)) * 10
    assert data.class_names[9] == "truck"


def test_a_pickle_that_names_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "made"),)

    folder = tmp_path / "cifar-100-python"
    batch(folder / "test", 10, "fine_labels", 100)
    for content in ({"data": Evil()}, Evil(), {"data": np.array([Evil()], dtype=object)}):
        (folder / "train").write_bytes(pickle.dumps(content))
        with pytest.raises(MissingData, match="cannot be read as a batch"):
            datasets.load("cifar100", tmp_path)
    assert not (tmp_path / "made").exists()


def test_damaged_batches_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    batch(folder / "test", 10, "fine_labels", 100)
    contents: dict[str, object] = {
        "has no pictures of 3,072 bytes": {"data": pixels(4, 12), "fine_labels": [0]},
        "has no list of labels under 'fine_labels'": {"data": pixels(4, 3072), "labels": [0]},
        "0 to 99 are possible": {"data": pixels(1, 3072), "fine_labels": [100]},
        "another array than one of bytes": {"data": np.zeros((1, 3072)), "fine_labels": [0]},
        "no dictionary": [1],
    }
    for words, content in contents.items():
        (folder / "train").write_bytes(pickle.dumps(content))
        with pytest.raises(MissingData, match=words):
            datasets.load("cifar100", tmp_path)
    (folder / "train").write_bytes(b"\x80")
    with pytest.raises(MissingData, match="cannot be read as a batch"):
        datasets.load("cifar100", tmp_path)


def test_the_binary_version_of_cifar_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    for name in ("train.bin", "test.bin"):
        coarse, fine = np.zeros((100, 1), np.uint8), np.arange(100, dtype=np.uint8)[:, None]
        rows = np.hstack([coarse, fine, pixels(100, 3072)])
        (folder / name).write_bytes(rows.tobytes())
    data = datasets.load("cifar100", tmp_path)
    assert data.train_labels.tolist() == list(range(100))
    assert bytes(data.test_samples[3, :, :, 1]) == bytes(rows[3, 2 + 1024 : 2 + 2048])
    (folder / "train.bin").write_bytes(b"abc")
    with pytest.raises(MissingData, match=r"3 bytes, not a multiple of 3,074"):
        datasets.load("cifar100", tmp_path)


def test_checksums_and_names_are_torchvisions() -> None:
    theirs = torchvision_import.load().datasets
    for ours, name in ((cifar.Cifar10, "CIFAR10"), (cifar.Cifar100, "CIFAR100")):
        published = getattr(theirs, name)
        assert ours.md5 == published.tgz_md5
        assert ours.download.mirrors == (published.url,)
        assert ours.download.folder == published.base_folder
        listed = [*published.train_list, *published.test_list]
        assert [str(file) for file in ours.download.files] == [file for file, _ in listed]
    assert Emnist().published[0].md5 == theirs.EMNIST.md5
    svhn = datasets.registry.create("svhn").published
    assert [(one.url, one.file, one.md5) for one in svhn] == [
        tuple(theirs.SVHN.split_list[part]) for part in ("train", "test")
    ]
    for name, published in (("mnist", theirs.MNIST), ("fashion", theirs.FashionMNIST)):
        files = datasets.registry.create(name).published
        found = {(Path(one.url).name, one.md5) for one in files}
        assert found == set(published.resources)


# SVHN.


def test_svhn_is_read_and_its_ten_is_zero(tmp_path: Path) -> None:
    for part, count in (("train", 20), ("test", 10)):
        images = pixels(32, 32, 3, count)
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        savemat(tmp_path / f"{part}_32x32.mat", {"X": images, "y": labels})
    data = datasets.load("svhn", tmp_path)
    assert data.inputs == Image(3, 32, 32, 10)
    assert data.test_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert np.array_equal(data.test_samples[4], images[:, :, :, 4])
    (tmp_path / "test_32x32.mat").write_bytes(b"no such file" * 20)
    with pytest.raises(MissingData, match=r"test_32x32\.mat cannot be read"):
        datasets.load("svhn", tmp_path)


# MedMNIST.


def medmnist(path: Path, shape: tuple[int, ...], classes: int, count: int = 30) -> None:
    path.parent.mkdir(exist_ok=True)
    arrays = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = pixels(count, *shape)
        arrays[f"{part}_labels"] = (np.arange(count) % classes).astype(np.uint8)[:, None]
    np.savez_compressed(path, **arrays)


def test_medmnist_is_read_by_name_and_resolution(tmp_path: Path) -> None:
    folder = tmp_path / "medmnist"
    medmnist(folder / "bloodmnist.npz", (28, 28, 3), 8)
    medmnist(folder / "tissuemnist_64.npz", (64, 64), 8)
    data = datasets.load("bloodmnist", tmp_path)
    assert data.inputs == Image(3, 28, 28, 8)
    assert len(data.train_labels) == 30  # without the part for validation
    assert data.class_names[0] == "basophil"
    assert datasets.load("tissuemnist:resolution=64", tmp_path).inputs == Image(1, 64, 64, 8)
    with pytest.raises(InvalidValue, match="28, 64, 128, 224"):
        datasets.load("tissuemnist:resolution=65", tmp_path)


def test_files_that_are_not_of_the_set_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "medmnist" / "pathmnist.npz"
    for words, shape, classes in (
        (r"has pictures of \(28, 28\), not \(28, 28, 3\)", (28, 28), 9),
        ("has labels from 0 to 9; 0 to 8 are possible", (28, 28, 3), 10),
    ):
        medmnist(path, shape, classes)
        with pytest.raises(MissingData, match=words):
            datasets.load("pathmnist", tmp_path)
    np.savez(path, train_images=pixels(3, 28, 28, 3))
    with pytest.raises(MissingData, match="has no train_labels, test_images, test_labels"):
        datasets.load("pathmnist", tmp_path)


def test_chestmnist_is_refused_for_its_many_labels(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="one label for each picture; ChestMNIST has up to 14"):
        datasets.load("chestmnist", tmp_path)


def test_normalisation_by_the_sets_own_statistics(tmp_path: Path) -> None:
    medmnist(tmp_path / "medmnist" / "bloodmnist.npz", (28, 28, 3), 8)
    data = datasets.load("bloodmnist:normalise=own", tmp_path)
    made = data.tensor(data.train_samples)
    assert made.mean((0, 2, 3)).abs().max() < 1e-5
    assert (made.std((0, 2, 3)) - 1).abs().max() < 1e-3


# Purchase-100.


def test_purchase100_is_divided_and_kept_as_bits(tmp_path: Path) -> None:
    features = RANDOM.integers(0, 2, (300, 600))
    kinds = np.arange(300) % 100
    path = tmp_path / "purchase100.npz"
    np.savez(path, features=features, labels=np.eye(100)[kinds])
    data = datasets.load("purchase100", tmp_path)
    assert data.inputs == Features(600, 100)
    assert (len(data.train_labels), len(data.test_labels)) == (240, 60)
    assert data.train_samples.dtype == np.uint8
    assert data.tensor(data.train_samples[:5]).unique().tolist() == [0, 1]
    whole = {(bytes(row), kind) for row, kind in zip(features.astype(np.uint8), kinds, strict=True)}
    for samples, labels in (
        (data.train_samples, data.train_labels),
        (data.test_samples, data.test_labels),
    ):
        assert {(bytes(row), kind) for row, kind in zip(samples, labels, strict=True)} < whole
    np.savez(path, features=features[:, 1:], labels=np.eye(100)[kinds])
    with pytest.raises(MissingData, match="599 features, not 600"):
        datasets.load("purchase100", tmp_path)
    np.savez(path, features=features, labels=np.ones((300, 100)))
    with pytest.raises(MissingData, match="not one-hot"):
        datasets.load("purchase100", tmp_path)


# Tables and text.


def test_breast_cancer_is_scikit_learns() -> None:
    theirs = load_breast_cancer()
    data = datasets.load("breast-cancer", Path("not", "needed"))
    assert data.inputs == Features(30, 2)
    rows = np.concatenate([data.train_samples, data.test_samples])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, theirs.data.astype(np.float32)))
    assert np.bincount(data.train_labels).tolist() == [170, 286]
    assert list(data.class_names) == theirs.target_names.tolist()


def test_shakespeare_is_cut_by_speaker(tmp_path: Path) -> None:
    said = "".join(chr(ord("a") + n % 26) for n in range(100))
    path = tmp_path / "text" / "tinyshakespeare.txt"
    path.parent.mkdir()
    path.write_text(f"First Citizen:\n{said}\n\nAll:\nSpeak.\n\nROMEO:\n{said.upper()}\n")
    data = datasets.load("shakespeare:length=10,stride=4", tmp_path)
    assert data.inputs == Tokens(10, 65, 65)
    assert data.groups is not None
    assert np.bincount(data.groups).tolist() == [18, 18]  # All says too little
    characters = np.array([one.replace("\\n", "\n") for one in data.class_names])
    texts = ["".join(characters[row]) for row in data.train_samples]
    assert texts[0] == said[:10]
    assert texts[1] == said[4:14]
    assert "".join(characters[data.train_labels[:2]]) == said[10] + said[14]
    assert texts[18] == said[:10].upper()
    tested = "".join(characters[data.test_samples[0]])
    assert tested == said[80:90]  # behind all that is trained on
    path.write_text("ROMEO:\nnaïve")
    with pytest.raises(MissingData, match="cannot be read"):
        datasets.load("shakespeare", tmp_path)


# Downloads.


def test_a_file_of_another_checksum_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_download.signal, "alarm", lambda _: None)
    monkeypatch.setattr(file_download.socket, "setdefaulttimeout", lambda _: None)
    source = tmp_path / "source.npz"
    source.write_bytes(b"content")
    md5 = hashlib.md5(b"content", usedforsecurity=False).hexdigest()
    target = tmp_path / "target"
    file_download.main([source.as_uri(), str(target), md5, "10"])
    assert target.read_bytes() == b"content"
    with pytest.raises(SystemExit, match=f"has the MD5 {md5}, not 0000"):
        file_download.main([source.as_uri(), str(target), "0" * 32, "10"])
