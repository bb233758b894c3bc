"""Whatever a parameter is given: it is taken and reads back, or it is refused by its name."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from fedsiege import attacks, detectors, rules
from fedsiege.detectors import quarantine
from fedsiege.errors import InvalidValue
from fedsiege.registry import Registry, spell
from fedsiege.rules import pre
from tests.cases import each

REGISTRIES: list[Registry[Any]] = [
    rules.registry,
    pre.registry,
    attacks.registry,
    detectors.registry,
    quarantine.registry,
]
PARAMETERS = [
    (registry, cls.name, field.name)
    for registry in REGISTRIES
    for cls in registry
    for field in dataclasses.fields(cls)
]
#: None of them can be a parameter of anything, or of numbers, texts or truth values alone.
VALUES: list[Any] = [
    *(math.nan, math.inf, -math.inf, 10**400, -(10**400), -1, 0, 1.5, True, None),
    *("", "x", "a,b", " x", b"1", [], {}, torch.tensor(1.0), torch.zeros(2), object()),
]


@contextmanager
def refused_by_its_name(name: str, value: object) -> Iterator[None]:
    """Whatever goes on inside may be refused, but then under the name of the parameter."""
    try:
        yield
    except InvalidValue as refused:
        if not refused.name.startswith(f"{name}:"):
            raise AssertionError(f"{value!r} is refused as {refused}") from refused


@each(("registry", "name", "parameter"), PARAMETERS)
def test_from_python(registry: Registry[Any], name: str, parameter: str) -> None:
    for value in VALUES:
        with refused_by_its_name(name, value):
            thing = registry.create(name, **{parameter: value})
            text = spell(thing)
            assert registry.parse(text) == thing
            given = getattr(thing, parameter)
            assert not isinstance(given, float) or math.isfinite(given)


@each(("registry", "name", "parameter"), PARAMETERS)
@each("text", ["nan", "inf", "-inf", "1e999", "9" * 400, '"3"', "None", "1_0x", "=", "-"])
def test_as_text(registry: Registry[Any], name: str, parameter: str, text: str) -> None:
    with refused_by_its_name(name, text):
        thing = registry.parse(f"{name}:{parameter}={text}")
        assert registry.parse(spell(thing)) == thing
        assert str(getattr(thing, parameter)) == text, "or it is read as something else"


@pytest.mark.parametrize(
    ("name", "parameters", "allowed"),
    [
        ("flooding", {"own_base": "maybe"}, "true or false"),
        ("forged-metadata", {"base": ""}, "random, or the path of a checkpoint"),
        ("mpaf", {"base": True}, "random, or the path of a checkpoint"),
        ("alie", {"knowledge": ["full"]}, "partial or full"),
        ("alie", {"z": 10**400}, "a finite number other than 0"),
        ("mpaf", {"scale": 10**400}, "a finite number above 0"),
    ],
)
def test_it_says_what_is_allowed(name: str, parameters: dict[str, Any], allowed: str) -> None:
    [parameter] = parameters
    with pytest.raises(InvalidValue) as refused:
        attacks.create(name, **parameters)
    assert (refused.value.name, refused.value.allowed) == (f"{name}:{parameter}", allowed)


@each(
    ("registry", "name", "near"),
    [
        (rules.registry, "krumm", "krum"),
        (rules.registry, "KRUM", "krum"),
        (rules.registry, "trimmed_mean", "trimmed-mean"),
        (pre.registry, "nnn", "nnm"),
        (attacks.registry, "mpfa", "mpaf"),
        (attacks.registry, "MPAF", "mpaf"),
        (attacks.registry, "fang", r"fang-krum or fang-trimmed-mean\?"),
        (attacks.registry, "flip", r"label-flip or sign-flip or sign-flip-gradient\?"),
        (attacks.registry, "Backdoor", r"badnets or dba or edge-case or input-instance\?"),
        (detectors.registry, "nrom", "norm"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    registry: Registry[Any], name: str, near: str
) -> None:
    with pytest.raises(InvalidValue, match=f"did you mean {near}[ ?].*There are: ") as refused:
        registry.parse(name)
    assert refused.value.name == registry.noun


@each("settings", [":", ":,"])
@each(
    ("parse", "text"),
    [
        (rules.parse, "krum"),
        (rules.parse, "nnm/krum"),
        (lambda text: rules.parse(f"{text}/krum"), "nnm"),
        (attacks.parse, "mpaf"),
        (detectors.parse, "norm"),
        (lambda text: detectors.parse(f"norm/{text}"), "quarantine"),
    ],
)
def test_a_list_with_nothing_in_it(parse: Any, text: str, settings: str) -> None:
    """It is not the same as no list: a value that got lost must not go unnoticed."""
    parse(text)
    with pytest.raises(InvalidValue, match=r"write it as .*:key=value"):
        parse(text + settings)
