"""torchvision can be used beside any build of torch; other faults are not hidden."""

import subprocess
import sys
from types import ModuleType

import pytest

from fedsiege import torchvision_import


def test_data_sets_and_transforms_work() -> None:
    vision = torchvision_import.load()
    assert vision.datasets.MNIST.__name__ == "MNIST"
    assert vision.transforms.Normalize(0.5, 0.5) is not None
    assert torchvision_import.load() is vision


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("import fedsiege, torchvision", marks=pytest.mark.slow),
        pytest.param(
            "from fedsiege.errors import InvalidValue; from torchvision import models, transforms",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "import fedsiege.experiment.spec, torch, torchvision.datasets as d; assert d.MNIST",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_script_that_uses_fedsiege_imports_torchvision_as_usual(script: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=50)


def test_the_hook_imports_nothing_before_torchvision_is_asked_for() -> None:
    script = "import fedsiege, sys; assert not {'torch', 'torchvision'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=50)


def test_the_hook_is_there_once() -> None:
    torchvision_import.hook()
    assert sys.meta_path.count(torchvision_import.Finder) == 1


def test_another_fault_is_not_mistaken_for_the_missing_operators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> ModuleType:
        raise RuntimeError("operator torchvision::roi_align does not exist")

    monkeypatch.setattr(torchvision_import, "_import", fails)
    torchvision_import.load.cache_clear()
    with pytest.raises(RuntimeError, match="roi_align"):
        torchvision_import.load()
