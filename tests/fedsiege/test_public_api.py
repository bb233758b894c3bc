"""What ``import fedsiege`` gives."""

import inspect
import subprocess
import sys

import pytest

import fedsiege

PUBLIC = {
    *("run", "arun", "load", "Run", "ExperimentSpec", "Client"),
    *("rules", "attacks", "detectors", "models", "datasets"),
    *("Rule", "Attack", "Detector", "Model", "DatasetSource"),
    *("FedSiegeError", "InvalidValue", "__version__"),
}


def test_the_public_names_are_these() -> None:
    assert set(fedsiege.__all__) == PUBLIC
    assert len(fedsiege.__all__) == len(PUBLIC)
    assert set(dir(fedsiege)) >= PUBLIC


def test_each_public_name_is_there_and_says_what_it_is() -> None:
    for name in PUBLIC - {"__version__"}:
        documented = inspect.getdoc(getattr(fedsiege, name)) or ""
        assert len(documented.split()) > 3, f"fedsiege.{name} has no docstring"
    assert fedsiege.__version__[0].isdigit()


def test_the_functions_and_classes_say_what_they_take() -> None:
    for name in ("run", "arun", "load", "Run", "Client"):
        documented = inspect.getdoc(getattr(fedsiege, name)) or ""
        assert "Args:" in documented, f"the docstring of fedsiege.{name} has no arguments"


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'fedsiege' has no attribute 'walk'"):
        fedsiege.walk  # noqa: B018


def test_the_import_is_light_and_the_names_come_when_they_are_used() -> None:
    code = (
        "import sys, fedsiege\n"
        "heavy = {'torch', 'grpc', 'pandas', 'numpy', 'pydantic', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "from fedsiege import run, load, Run, ExperimentSpec, InvalidValue\n"
        "print(sorted({'torch', 'grpc', 'pandas', 'matplotlib'} & set(sys.modules)))\n"
        "from fedsiege import Rule, rules\n"
        "print(rules.Rule is Rule, 'torch' in sys.modules, 'grpc' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "[]", "True True False"]


def test_torchvision_can_be_imported_after_fedsiege_alone() -> None:
    code = "import fedsiege, torchvision.datasets; print(torchvision.datasets.MNIST.__name__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "MNIST"
