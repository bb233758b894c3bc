"""Variables of FedSiege: none that is misspelt is ignored without a word."""

import re
from pathlib import Path

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment import environment
from fedsiege.experiment.spec import ExperimentSpec

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FEDSIEGE_ATTAK", "FEDSIEGE_ATTACK"),
        ("FEDSIEGE_ATTACKNAME", "FEDSIEGE_ATTACK_NAME"),
        ("FEDSIEGE_CERT", "FEDSIEGE_CERTS"),
        ("FEDSIEGE_LIMIT", "FEDSIEGE_LIMITS"),
        ("fedsiege_attack", "FEDSIEGE_ATTACK"),
        ("Fedsiege_Data", "FEDSIEGE_DATA"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InvalidValue, match=f"^{name}='1' .* did you mean {nearest}\\? "):
        environment.check({"PATH": "/bin", name: "1"})


@pytest.mark.parametrize(
    "name",
    [
        *(f"FEDSIEGE_{one.upper()}" for one in ExperimentSpec.model_fields),
        *("FEDSIEGE_DATA", "FEDSIEGE_SECRET", "FEDSIEGE_TOKENS", "FEDSIEGE_LIMITS"),
        *("FEDSIEGE_SERVICE_HOST", "FEDSIEGE_SERVICE_PORT", "FEDSIEGE_SERVICE_PORT_GRPC"),
        *("FEDSIEGE_PORT", "FEDSIEGE_PORT_50051_TCP", "FEDSIEGE_PORT_50051_TCP_ADDR"),
        *("ATTAK", "MY_FEDSIEGE_ATTAK", "FEDSIEGE"),
    ],
)
def test_what_is_read_or_set_by_others_is_taken(name: str) -> None:
    environment.check({name: "1"})


def test_an_empty_variable_is_none() -> None:
    environment.check({"FEDSIEGE_ATTAK": ""})


def test_every_variable_that_is_read_anywhere_is_known() -> None:
    read = set()
    for folder in ("fedsiege", "services", "docker", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".sh", ".yml"):
                read.update(re.findall(r"FEDSIEGE_[A-Z_]*[A-Z]", path.read_text()))
    known = {*environment.settings(), *(environment.PREFIX + one for one in environment.OTHERS)}
    assert read - known == set()
    assert {f"FEDSIEGE_{one}" for one in ("CERTS", "SECRET", "TOKENS")} <= read


def test_a_command_without_settings_is_told_of_those_that_are_set() -> None:
    given = {"FEDSIEGE_ATTACK": "1", "FEDSIEGE_DATA": "d", "FEDSIEGE_ADMISSION": "token"}
    assert list(environment.unread(given)) == ["FEDSIEGE_ATTACK"]
