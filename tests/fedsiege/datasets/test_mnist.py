"""MNIST and Fashion-MNIST are what torchvision reads from the same files."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fedsiege import datasets, torchvision_import
from fedsiege.errors import InvalidValue, MissingData

CLASSES = {"mnist": "MNIST", "fashion": "FashionMNIST"}


def torchvisions(name: str, root: Path, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    data = getattr(torchvision_import.load().datasets, CLASSES[name])(root, train=train)
    return data.data, data.targets


def assert_equal_to_torchvision(name: str, root: Path) -> None:
    data = datasets.load(name, root)
    assert data.name == name
    for train, images, labels in (
        (True, data.train_samples, data.train_labels),
        (False, data.test_samples, data.test_labels),
    ):
        expected_images, expected_labels = torchvisions(name, root, train)
        assert np.array_equal(images, expected_images.numpy())
        assert np.array_equal(labels, expected_labels.numpy())
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize("name", CLASSES)
def test_the_files_are_read_as_torchvision_reads_them(name: str, root: Path) -> None:
    assert_equal_to_torchvision(name, root)


@pytest.mark.parametrize("name", CLASSES)
def test_the_real_files_are_read_as_torchvision_reads_them(name: str) -> None:
    root = Path(os.environ.get("FEDSIEGE_DATA", "data"))
    if not datasets.is_here(name, root):
        pytest.skip(f"{name} is not there: set FEDSIEGE_DATA to a folder that holds it")
    assert_equal_to_torchvision(name, root)
    assert len(datasets.load(name, root).train_labels) == 60_000


def test_images_become_tensors_as_in_the_seed_project(root: Path) -> None:
    images = datasets.load("mnist", root).test_samples
    transforms = torchvision_import.load().transforms
    seed_projects = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
    )
    expected = torch.stack([seed_projects(image.copy()) for image in images])
    assert torch.equal(datasets.to_tensor(images), expected)
    assert expected.shape == (12, 1, 28, 28)


@pytest.mark.parametrize(
    ("file", "array", "problem"),
    [
        ("train-images-idx3-ubyte", np.zeros((30, 8, 8), np.uint8), r"images of \(8, 8\)"),
        ("train-images-idx3-ubyte", np.zeros((29, 28, 28), np.uint8), "29 images.* 30 labels"),
        ("t10k-labels-idx1-ubyte", np.full(12, 10, np.uint8), "label 10; 0 to 9 are possible"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    file: str,
    array: npt.NDArray[np.uint8],
    problem: str,
    root: Path,
    write_idx: Callable[[Path, npt.NDArray[np.uint8]], None],
) -> None:
    write_idx(root / "MNIST" / "raw" / file, array)
    with pytest.raises(MissingData, match=f"{file}.*{problem}"):
        datasets.load("mnist", root)


def test_a_data_set_is_here_when_all_its_files_are(root: Path) -> None:
    assert datasets.is_here("mnist", root)
    (root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    assert not datasets.is_here("mnist", root)
    assert datasets.is_here("fashion", root)


def test_an_unknown_name_says_which_there_are(root: Path) -> None:
    with pytest.raises(InvalidValue, match=r"did you mean mnist.*digits, emnist, fashion, "):
        datasets.load("mnits", root)
