"""torchvision can be used beside any build of torch; other faults are not hidden."""

from types import ModuleType

import pytest

from fedsiege import torchvision_import


def test_data_sets_and_transforms_work() -> None:
    vision = torchvision_import.load()
    assert vision.datasets.MNIST.__name__ == "MNIST"
    assert vision.transforms.Normalize(0.5, 0.5) is not None
    assert torchvision_import.load() is vision


def test_another_fault_is_not_mistaken_for_the_missing_operators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> ModuleType:
        raise RuntimeError("operator torchvision::roi_align does not exist")

    monkeypatch.setattr(torchvision_import, "_import", fails)
    torchvision_import.load.cache_clear()
    with pytest.raises(RuntimeError, match="roi_align"):
        torchvision_import.load()
