"""digits are scikit-learn's, enlarged faithfully, split for good, and cost no heavy import."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from fedsiege import datasets
from fedsiege.datasets import Dataset
from fedsiege.datasets import digits as module
from fedsiege.errors import MissingData

ORIGINALS = load_digits()


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return datasets.load("digits", Path("not", "needed"))


def test_every_digit_of_scikit_learn_is_in_one_of_the_two_parts(digits: Dataset) -> None:
    test = module.held_out(ORIGINALS.target)
    enlarged = module.enlarge(ORIGINALS.images.astype(np.uint8))
    assert np.array_equal(digits.train_samples, enlarged[~test])
    assert np.array_equal(digits.test_samples, enlarged[test])
    assert np.array_equal(digits.train_labels, ORIGINALS.target[~test])
    assert np.array_equal(digits.test_labels, ORIGINALS.target[test])
    assert (len(digits.train_labels), len(digits.test_labels)) == (1_442, 355)


def test_a_fifth_of_each_class_is_held_out(digits: Dataset) -> None:
    shares = np.bincount(digits.test_labels) / np.bincount(ORIGINALS.target)
    assert shares.min() > 0.19
    assert shares.max() <= 0.2


def test_enlarging_is_bilinear_interpolation() -> None:
    originals = torch.from_numpy(ORIGINALS.images).unsqueeze(1)
    expected = F.interpolate(originals, (20, 20), mode="bilinear", align_corners=False)
    enlarged = module.enlarge(ORIGINALS.images.astype(np.uint8))
    boxes = enlarged[:, 4:-4, 4:-4]
    assert np.abs(boxes - expected.squeeze(1).numpy() / 16 * 255).max() <= 0.5 + 1e-9
    margin = enlarged.copy()
    margin[:, 4:-4, 4:-4] = 0
    assert not margin.any()


@pytest.mark.parametrize(("level", "grey"), [(0, 0), (8, 128), (16, 255)])
def test_an_even_grey_stays_even(level: int, grey: int) -> None:
    box = module.enlarge(np.full((1, 8, 8), level, np.uint8))[0, 4:-4, 4:-4]
    assert (box == grey).all()


def test_images_are_read_only(digits: Dataset) -> None:
    for images in (digits.train_samples, digits.test_samples):
        with pytest.raises(ValueError, match="read-only"):
            images[0] = 0


def test_neither_torch_nor_scikit_learn_is_imported_to_load_them() -> None:
    code = (
        "import sys; from pathlib import Path; from fedsiege import datasets\n"
        "datasets.load('digits', Path('none')); datasets.resolve('digits', Path('none'))\n"
        "print(sorted({'torch', 'torchvision', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == "[]"


def test_without_scikit_learn_they_are_missing_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingData, match="scikit-learn with its file"):
        datasets.load("digits", Path("none"))
