"""What is declared, locked and generated fits together, from the oldest library declared on."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEEDS = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
LOCK = dict(
    re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
)


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def bound(name: str, sign: str) -> str:
    """Return the version behind a sign in what is declared of a package."""
    need = next(need for need in NEEDS if re.match(rf"{re.escape(name)}[<>=]", need))
    found = re.search(rf"{sign}([0-9.]+)", need)
    assert found is not None, need
    return found[1]


STUBS = sorted((ROOT / "fedsiege" / "v1").glob("*_pb2.py"))
SERVICES = sorted((ROOT / "fedsiege" / "v1").glob("*_pb2_grpc.py"))


@pytest.mark.parametrize("path", STUBS, ids=lambda path: path.stem)
def test_generated_code_takes_the_oldest_protobuf_that_is_declared(path: Path) -> None:
    """It refuses any that is older than its generator."""
    generator = re.search(r"^# Protobuf Python Version: ([0-9.]+)$", path.read_text(), re.MULTILINE)
    assert generator is not None
    assert version(generator[1]) <= version(bound("protobuf", ">="))


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_generated_services_take_the_oldest_grpcio_that_is_declared(path: Path) -> None:
    generator = re.search(r"GRPC_GENERATED_VERSION = '([0-9.]+)'", path.read_text())
    assert generator is not None
    assert version(generator[1]) <= version(f"{bound('grpcio', '>=')}.0")


def test_the_generator_of_the_lock_is_the_declared_one() -> None:
    assert LOCK["grpcio-tools"] == bound("grpcio-tools", "==")


def test_torch_and_torchvision_of_the_lock_are_of_one_release() -> None:
    """torchvision 0.N is built against torch 2.(N-15), and works beside no other."""
    torch, vision = version(LOCK["torch"]), version(LOCK["torchvision"])
    assert torch[0] == 2
    assert vision[:2] == (0, torch[1] + 15)
