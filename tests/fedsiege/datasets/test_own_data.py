"""One's own arrays, tables and pictures: what is read of them, and every way to be wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from fedsiege import datasets
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.inputs import Features, Image

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (40, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 2


def refused(text: str, root: Path) -> str:
    with pytest.raises(FedSiegeError) as found:
        datasets.load(text, root)
    return str(found.value)


# Arrays.


def save(root: Path, **arrays: object) -> str:
    """Write arrays; return the data set of them."""
    number = len(list(root.glob("*.npz")))
    np.savez(root / f"{number}.npz", **arrays)  # type: ignore[arg-type]
    return f"npz:{number}.npz"


def test_the_layouts_of_arrays(tmp_path: Path) -> None:
    colour = RANDOM.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    as_medmnist = {
        "train_images": colour,
        "train_labels": LABELS[:, None].astype(np.uint8),
        "test_images": colour[:10],
        "test_labels": LABELS[:10, None].astype(np.uint8),
    }
    data = datasets.load(save(tmp_path, **as_medmnist), tmp_path)
    assert data.inputs == Image(3, 6, 5, 2)
    assert np.array_equal(data.train_samples, colour)
    assert np.array_equal(data.train_labels, LABELS)
    assert data.class_names == ("0", "1")
    as_keras = {"x_train": PICTURES, "y_train": LABELS, "x_test": PICTURES, "y_test": LABELS}
    data = datasets.load(save(tmp_path, **as_keras), tmp_path)
    assert data.inputs == Image(1, 6, 5, 2)
    assert len(data.test_labels) == 40


def test_x_and_y_are_divided_by_a_seed(tmp_path: Path) -> None:
    text = save(tmp_path, x=PICTURES, y=np.where(LABELS, "yes", "no"))
    first, again, other = (
        datasets.load(f"{text},test=0.25{more}", tmp_path) for more in ("", "", ",seed=1")
    )
    assert np.bincount(first.test_labels).tolist() == [5, 5]
    assert first.class_names == ("no", "yes")
    assert np.array_equal(first.test_samples, again.test_samples)
    assert not np.array_equal(first.test_samples, other.test_samples)
    whole = np.concatenate([first.train_samples, first.test_samples])
    assert sorted(map(bytes, whole)) == sorted(map(bytes, PICTURES))


def test_features_are_normalised_by_the_training_part(tmp_path: Path) -> None:
    x = RANDOM.normal(5, 3, (40, 4))
    x[:, 2] = 7  # constant
    one_hot = np.eye(2)[LABELS]
    data = datasets.load(save(tmp_path, x=x, y=one_hot), tmp_path)
    assert data.inputs == Features(4, 2)
    made = data.tensor(data.train_samples).numpy()
    assert np.allclose(made.mean(0), 0, atol=1e-5)
    assert np.allclose(made.std(0), [1, 1, 0, 1], atol=1e-5)
    assert "it holds no pictures" in refused(f"{save(tmp_path, x=x, y=one_hot)},size=8", tmp_path)


def test_labels_of_any_numbers_are_classes_in_order(tmp_path: Path) -> None:
    text = save(tmp_path, x=PICTURES, y=np.where(LABELS, 10, 9).astype(float))
    assert datasets.load(text, tmp_path).class_names == ("9", "10")


def test_each_fault_of_arrays_has_its_own_message(tmp_path: Path) -> None:
    nan = np.where(LABELS, np.nan, 1.0)
    bad = RANDOM.normal(size=(40, 3))
    bad[7, 1] = np.nan
    parts = {"x_train": PICTURES, "y_train": LABELS, "x_test": PICTURES, "y_test": LABELS}
    faults: dict[str, dict[str, object]] = {
        "its data has none: 0 rows": {"x": PICTURES[:0], "y": LABELS[:0]},
        "40 samples and 39 labels": {"x": PICTURES, "y": LABELS[1:]},
        "20 of 40 have none, the first in row 1": {"x": PICTURES, "y": nan},
        "the first in row 3": {"x": PICTURES, "y": np.array(["a", "b", "a", ""] * 10)},
        "all its samples have the label 4": {"x": PICTURES, "y": LABELS * 0 + 4},
        "have NaN or infinite ones, the first in row 7": {"x": bad, "y": LABELS},
        "are not one-hot": {"x": PICTURES, "y": np.ones((40, 2))},
        "one is 0.5": {"x": PICTURES, "y": LABELS / 2},
        "features (N, F) of numbers; it has float64": {"x": PICTURES / 255, "y": LABELS},
        "with 1 to 4 channels in the end": {"x": PICTURES[:, None], "y": LABELS},
        "of 5 it has 1": {"x": PICTURES, "y": np.where(np.arange(40) == 3, 5, LABELS)},
        "to test on; it has none of 1": {**parts, "y_test": LABELS * 0},
        "to train on; it has none of 1": {**parts, "y_train": LABELS * 0},
        "(6, 5) to train on and (5, 5) to test on": {**parts, "x_test": PICTURES[:, 1:]},
        "its test part has none": {**parts, "x_test": PICTURES[:0], "y_test": LABELS[:0]},
        "arrays train_images train_labels": {"images": PICTURES, "labels": LABELS},
    }
    for words, arrays in faults.items():
        message = refused(save(tmp_path, **arrays), tmp_path)
        assert words in message, message


def test_objects_and_other_files_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([print, 1] * 20, dtype=object), y=LABELS)
    assert "holds no plain arrays" in refused("npz:a.npz", tmp_path)
    (tmp_path / "b.npz").write_bytes(b"no archive")
    assert "b.npz cannot be read as .npz" in refused("npz:b.npz", tmp_path)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(whole[:-30])
    assert "c.npz" in refused("npz:c.npz", tmp_path)


# Tables.


def table(root: Path, *rows: str) -> str:
    (root / "t.csv").write_text("\n".join(rows) + "\n")
    return "csv:t.csv,label=kind"


def test_a_table_has_features_classes_and_groups(tmp_path: Path) -> None:
    rows = [f"{n},{n * n},{'ab'[n % 2]},site {n % 3}" for n in range(30)]
    text = table(tmp_path, "one,two,kind,site", *rows)
    data = datasets.load(f"{text},group=site", tmp_path)
    assert data.inputs == Features(2, 2)
    assert data.class_names == ("a", "b")
    assert np.bincount(data.test_labels).tolist() == [3, 3]
    numbers = data.train_samples[:, 0].astype(int)
    assert data.groups is not None
    assert np.array_equal(data.groups, numbers % 3)
    assert np.array_equal(data.train_labels, numbers % 2)


def test_each_fault_of_a_table_has_its_own_message(tmp_path: Path) -> None:
    good = [f"{n},{'ab'[n % 2]}" for n in range(10)]
    faults = {
        "a column 'kind'; it has one, sort": ["one,sort", *good],
        "below its header there are none: 0 rows": ["one,kind"],
        "the file is empty: 0 rows": [""],
        "one hold text": ["one,kind", "x,a", "y,b"],
        "beside kind; there are none": ["kind", "a", "b"],
        "1 of 11 have none, the first in row 10": ["one,kind", *good, "1,"],
        "NaN or infinite ones, the first in row 10": ["one,kind", *good, ",a"],
        "all its samples have the label a": ["one,kind", "1,a", "2,a"],
    }
    for words, rows in faults.items():
        message = refused(table(tmp_path, *rows), tmp_path)
        assert words in message, message
    text = table(tmp_path, "one,kind,site", *[f"{row},x" for row in good], "1,a,")
    message = refused(f"{text},group=site", tmp_path)
    assert "in the column 'site' of each row; row 10 has none" in message


# Pictures.


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., None]:
    """Write a picture of a side, in a mode, into a folder of ``pics``."""

    def write(name: str, side: int = 8, mode: str = "L") -> None:
        path = tmp_path / "pics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = RANDOM.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Pillow.fromarray(shade).convert(mode).save(path)

    return write


def test_a_folder_for_each_class(draw: Callable[..., None], tmp_path: Path) -> None:
    for number in range(10):
        draw(f"cat/{number}.png")
        draw(f"dog/deep/{number}.PNG")
    (tmp_path / "pics" / "cat" / "notes.txt").write_text("passed over")
    data = datasets.load("folder:pics", tmp_path)
    assert data.inputs == Image(1, 8, 8, 2)
    assert data.class_names == ("cat", "dog")
    assert (len(data.train_labels), len(data.test_labels)) == (16, 4)
    files = [one for one in (tmp_path / "pics" / "cat").iterdir() if one.suffix == ".png"]
    pixels = {np.asarray(Pillow.open(one)).tobytes() for one in files}
    assert {bytes(one) for one in data.train_samples[data.train_labels == 0]} < pixels


def test_train_and_test_folders_and_colour(draw: Callable[..., None], tmp_path: Path) -> None:
    for part in ("train", "test"):
        draw(f"{part}/a/1.png", mode="RGB")
        draw(f"{part}/b/1.jpg")
    data = datasets.load("folder:pics", tmp_path)
    assert data.inputs == Image(3, 8, 8, 2)  # grey ones are read in colour beside others
    assert (len(data.train_labels), len(data.test_labels)) == (2, 2)


def test_pictures_of_unequal_sizes_need_a_size(draw: Callable[..., None], tmp_path: Path) -> None:
    for name, side in (("a/1.png", 8), ("a/2.png", 9), ("b/1.png", 8), ("b/2.png", 8)):
        draw(name, side)
    message = refused("folder:pics", tmp_path)
    assert "is 8x8" in message
    assert "a/2.png 9x9" in message
    assert datasets.load("folder:pics,size=16", tmp_path).inputs == Image(1, 16, 16, 2)


def test_each_fault_of_a_folder_has_its_own_message(
    draw: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "pics").mkdir()
    assert "there are none" in refused("folder:pics", tmp_path)
    draw("a/1.png")
    draw("a/2.png")
    assert "all its samples have the label a" in refused("folder:pics", tmp_path)
    draw("b/1.png")
    assert "of b it has 1" in refused("folder:pics", tmp_path)
    (tmp_path / "pics" / "b" / "2.png").write_bytes(b"no picture")
    assert "pictures that can be read; 2.png cannot" in refused("folder:pics", tmp_path)
    whole = (tmp_path / "pics" / "b" / "1.png").read_bytes()
    (tmp_path / "pics" / "b" / "2.png").write_bytes(whole[:60])
    assert "pictures that can be read; 2.png cannot" in refused("folder:pics", tmp_path)
    assert "it is a file" in refused("folder:pics/a/1.png", tmp_path)
    draw("train/a/1.png")
    draw("train/b/1.png")
    draw("test/a/1.png")
    assert "to test on; it has none of b" in refused("folder:pics", tmp_path)


def test_a_source_without_a_file_says_how_it_is_written(tmp_path: Path) -> None:
    for name in ("npz", "csv", "folder"):
        with pytest.raises(InvalidValue, match=f"write it as {name}:FILE"):
            datasets.load(name, tmp_path)
