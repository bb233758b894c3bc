"""Initial weights from files: of other classes, of other types of numbers, and of ImageNet."""

import hashlib
import io
import urllib.error
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fedsiege import models
from fedsiege.errors import InvalidValue, MissingData
from fedsiege.inputs import Features, Image
from fedsiege.models import imagenet

OF_TEN = models.Classifier("resnet20", Image(3, 8, 8, 10))
OF_THREE = models.Classifier("resnet20", Image(3, 8, 8, 3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def tensors(of: models.Classifier, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    module = of.create()
    models.unflatten_into(module, weights)
    return {key: value.clone() for key, value in module.state_dict().items()}


def test_a_checkpoint_with_running_statistics_comes_back_as_it_was(file: Path) -> None:
    weights = models.random_weights(OF_TEN, 1) + 0.5
    models.write_checkpoint(file, OF_TEN, weights, {})
    read, remark = models.read_initial(file, OF_TEN, seed=0)
    assert torch.equal(read, weights)
    assert remark == ""


def test_with_other_classes_the_last_layer_alone_is_drawn_from_the_seed(file: Path) -> None:
    weights = models.random_weights(OF_TEN, 1) + 0.5
    models.write_checkpoint(file, OF_TEN, weights, {})
    read, remark = models.read_initial(file, OF_THREE, seed=7)
    given, got = tensors(OF_TEN, weights), tensors(OF_THREE, read)
    drawn = tensors(OF_THREE, models.random_weights(OF_THREE, 7))
    for key, value in got.items():
        assert torch.equal(value, (drawn if key.startswith("fc.") else given)[key]), key
    assert "is for 10 classes and the data set has 3: fc.weight and fc.bias are drawn" in remark
    assert not torch.equal(models.read_initial(file, OF_THREE, seed=8)[0], read)


def test_counts_of_batches_are_left_and_half_precision_becomes_float32(file: Path) -> None:
    weights = models.random_weights(OF_TEN, 1)
    state = tensors(OF_TEN, weights)
    assert any(key.endswith("num_batches_tracked") for key in state)
    halved = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    safetensors.torch.save_file(halved, file)
    read, _ = models.read_initial(file, OF_TEN, seed=0)
    assert read.dtype == torch.float32
    assert torch.equal(read, weights.half().float())


def test_other_differences_are_refused_and_the_first_is_named(file: Path) -> None:
    table = models.Classifier("mlp:6-5", Features(4, 3))
    cases = {
        "mlp:6-5": (Features(5, 3), r"'fc1.weight' .* has \[6, 4\], the file \[6, 5\]"),
        "mlp:6-4": (Features(4, 3), r"'fc2.weight' .* has \[5, 6\], the file \[4, 6\]"),
        "mlp:6": (Features(4, 3), r"'fc2.weight' .* has \[5, 6\], the file no such tensor"),
        "mlp:6-5-5": (Features(4, 3), r"'fc3.bias' .* has no such tensor, the file \[5\]"),
    }
    for model, (inputs, problem) in cases.items():
        of = models.Classifier(model, inputs)
        models.write_checkpoint(file, of, models.random_weights(of, 0), {})
        with pytest.raises(InvalidValue, match=problem):
            models.read_initial(file, table, seed=0)


def test_weights_that_are_not_finite_and_whole_numbers_are_refused(file: Path) -> None:
    of = models.Classifier("mlp:3", Features(2, 2))
    weights = models.random_weights(of, 0)
    weights[1] = torch.nan
    models.write_checkpoint(file, of, weights, {})
    with pytest.raises(InvalidValue, match="begins with finite weights"):
        models.read_initial(file, of, seed=0)
    whole = {key: torch.zeros(shape, dtype=torch.int32) for key, shape in models.layout(of)}
    safetensors.torch.save_file(whole, file)
    with pytest.raises(InvalidValue, match=r"tensors of F64, F32, F16, BF16; .* has I32"):
        models.read_initial(file, of, seed=0)


def test_imagenet_weights_are_refused_for_a_model_without_them() -> None:
    with pytest.raises(InvalidValue, match="mobilenet-v2, resnet18; net has none"):
        imagenet.file_name("net")


def test_without_a_network_imagenet_weights_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(imagenet.urllib.request, "urlopen", unreachable)
    with pytest.raises(MissingData, match=r"no network. Start the run once where there is a net"):
        imagenet.fetch("mobilenet-v2", tmp_path / "checkpoints")
    assert list(tmp_path.iterdir()) == []


def test_imagenet_weights_are_converted_and_begin_a_run_of_other_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a pickle like that of torchvision, with its name."""
    of = models.Classifier("mobilenet-v2", Image(3, 32, 32, 1000))
    weights = models.random_weights(of, 3)
    content = io.BytesIO()
    torch.save(tensors(of, weights), content)
    digest = hashlib.sha256(content.getvalue()).hexdigest()

    monkeypatch.setattr(
        imagenet.torchvision_import, "weights", lambda _: f"https://host/mobilenet-{digest[:8]}.pth"
    )
    monkeypatch.setattr(
        imagenet.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(content.getvalue())
    )
    path = imagenet.fetch("mobilenet-v2", tmp_path)
    assert path == tmp_path / "mobilenet-v2-imagenet.safetensors"
    assert list(tmp_path.iterdir()) == [path]
    assert torch.equal(models.read_initial(path, of, seed=0)[0], weights)
    few = models.Classifier("mobilenet-v2", Image(3, 40, 40, 3))
    read, remark = models.read_initial(path, few, seed=0)
    assert torch.equal(read[:864], weights[:864])
    assert "is for 1000 classes" in remark
    monkeypatch.setattr(imagenet.urllib.request, "urlopen", None)
    assert imagenet.fetch("mobilenet-v2", tmp_path) == path  # and nothing is downloaded again


def test_a_download_with_another_sha256_or_a_pickle_with_code_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "executed",)

    content = io.BytesIO()
    torch.save({"weight": Code()}, content)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    monkeypatch.setattr(
        imagenet.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(content.getvalue())
    )
    for name, problem in (
        ("00000000", "another SHA-256"),
        (digest[:8], "holds more than tensors"),
    ):
        monkeypatch.setattr(
            imagenet.torchvision_import, "weights", lambda _, n=name: f"https://host/m-{n}.pth"
        )
        with pytest.raises(MissingData, match=problem):
            imagenet.fetch("mobilenet-v2", tmp_path)
    assert list(tmp_path.iterdir()) == []
