"""Components by name: what is declared is what is checked, read, listed and spelled."""

import dataclasses
import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt

from fedsiege.errors import InvalidValue
from fedsiege.registry import Component, Parameter, Registry, Spelling, spell
from tests.cases import each

registry: Registry["Spade"] = Registry("tool")


@registry.register
@dataclasses.dataclass(frozen=True)
class Spade(Component):
    """A component with a parameter of every type."""

    name: ClassVar[str] = "spade"
    summary: ClassVar[str] = "digs"

    depth: Annotated[float, Gt(0), "how deep it digs, in metres"] = 1.5
    holes: int | None = None
    wet: bool = False
    grip: str = "wood"

    def check_together(self) -> None:
        if self.wet and self.holes == 13:
            raise InvalidValue("spade:holes", self.holes, "not 13 where it is wet")


@registry.register
@dataclasses.dataclass(frozen=True)
class Rake(Component):
    """A component without parameters."""

    name: ClassVar[str] = "rake"
    summary: ClassVar[str] = "rakes"


@dataclasses.dataclass(frozen=True)
class Hose(Component):
    """A component whose one parameter may stand alone."""

    name: ClassVar[str] = "hose"
    summary: ClassVar[str] = "waters"
    positional: ClassVar[str] = "length"

    length: Annotated[float, Ge(1), Le(99)] = 5.0


def test_names_are_in_alphabetical_order():
    assert registry.names() == ["rake", "spade"]
    assert list(registry) == [Rake, Spade]


def test_a_name_is_taken_once():
    @dataclasses.dataclass(frozen=True)
    class Other(Component):
        name: ClassVar[str] = "rake"
        summary: ClassVar[str] = "rakes too"

    sheds: Registry[Component] = Registry("tool")
    sheds.register(Rake)
    sheds.register(Rake)  # as when a cell of a notebook runs again
    assert sheds.get("rake") is Rake
    sheds.register(Other)
    with pytest.raises(InvalidValue, match=r"offer a tool of this name, and neither is used"):
        sheds.get("rake")
    built_in = type("Rake", (Rake,), {"__module__": "fedsiege.own"})
    sheds.register(built_in)
    with pytest.raises(RuntimeError, match="two tools are called 'rake'"):
        sheds.register(built_in)


def test_parameters_are_listed_with_type_and_default():
    assert registry.parameters("rake") == ()
    listed = [(p.name, p.type, p.default, p.description) for p in registry.parameters("spade")]
    assert listed == [
        ("depth", "float", "1.5", "how deep it digs, in metres"),
        ("holes", "int", "None", ""),
        ("wet", "bool", "False", ""),
        ("grip", "str", "wood", ""),
    ]


def test_what_is_allowed_is_said_as_it_is_declared():
    wanted: list[tuple[Any, str]] = [
        (int, "a whole number"),
        (bool, "true or false"),
        (str | None, "text"),
        (Annotated[float, Gt(0)], "a finite number above 0"),
        (Annotated[float | None, Ge(0), Lt(1)], "a finite number, 0 or more, below 1"),
        (Annotated[int, Ge(1), Le(9)], "a whole number from 1 to 9"),
        (Annotated[Annotated[int, Ge(1)], "nested"], "a whole number, 1 or more"),
        (Literal["one"], "one"),
        (Literal["one", "two", "three"], "one, two or three"),
        (Annotated[str, Spelling("anything blue")], "anything blue"),
    ]
    for hint, allowed in wanted:
        assert Parameter("x", hint).allowed == allowed, hint
    for hint in (list[int], int | str, complex):
        with pytest.raises(TypeError, match="a parameter is a bool, int"):
            Parameter("x", hint)


def test_settings_may_follow_a_value_without_a_key():
    @dataclasses.dataclass(frozen=True)
    class Saw(Component):
        name: ClassVar[str] = "saw"
        summary: ClassVar[str] = "cuts"
        positional: ClassVar[str] = "length"
        length: float = 1.0
        teeth: int = 9

    saws: Registry[Saw] = Registry("saw")
    saws._classes["saw"] = Saw
    assert saws.parse("saw:2.5, teeth=3") == Saw(2.5, 3)
    assert saws.parse("saw:2.5") == Saw(2.5)
    assert saws.parse(spell(Saw(2.5, 3))) == Saw(2.5, 3)
    with pytest.raises(InvalidValue, match=r"saw:length='3'.*given twice, first as 2\.5"):
        saws.parse("saw:2.5,length=3")
    for text in ("saw:teeth=3,2.5", "saw:2.5,"):
        with pytest.raises(InvalidValue, match="write it as saw:LENGTH,key=value"):
            saws.parse(text)


def test_a_lone_value_sets_the_positional_parameter():
    sheds: Registry[Component] = Registry("tool")
    sheds.register(Hose)
    assert sheds.parse("hose:7") == sheds.parse("hose: length = 7") == Hose(7.0)
    assert spell(Hose(7.5)) == "hose:7.5"
    for text, message in {
        "hose:": "write it as hose:LENGTH",
        "hose:0.5": "hose:length='0.5' is not possible: a finite number from 1 to 99",
        "hose:long": "from 1 to 99",
        "hose:width=2": "it takes length",
    }.items():
        with pytest.raises(InvalidValue) as caught:
            sheds.parse(text)
        assert message in str(caught.value), text


@each(
    ("text", "thing"),
    [
        ("rake", Rake()),
        (" rake ", Rake()),
        ("spade", Spade()),
        ("spade:depth=2", Spade(depth=2.0)),
        ("spade:depth=1e-3,holes=7", Spade(depth=0.001, holes=7)),
        (" spade : depth = 2 , wet = yes ", Spade(depth=2.0, wet=True)),
        ("spade:wet=TRUE", Spade(wet=True)),
        ("spade:wet=0", Spade(wet=False)),
        ("spade:grip=a=b", Spade(grip="a=b")),
    ],
)
def test_text_is_read(text, thing):
    assert registry.parse(text) == thing


@each(
    ("text", "message"),
    [
        ("spad", "did you mean spade"),
        ("hammer", "There are: rake, spade"),
        ("", "There are: rake, spade"),
        ("Spade", "There are: rake, spade"),
        ("spade:size=3", "it takes depth, holes, wet, grip"),
        ("rake:size=3", "it takes no parameters"),
        ("spade:depth", "write it as spade:key=value,key=value"),
        ("spade:depth=", "write it as spade:key=value,key=value"),
        ("spade:", "write it as spade:key=value,key=value"),
        ("spade: ", "write it as spade:key=value,key=value"),
        ("spade:,", "write it as spade:key=value,key=value"),
        ("spade:depth=2,", "write it as spade:key=value,key=value"),
        ("rake:", "write it as rake"),
        ("spade:depth=deep", "spade:depth='deep' is not possible: a finite number above 0"),
        ("spade:holes=1.5", "spade:holes='1.5' is not possible: a whole number"),
        ("spade:wet=maybe", "spade:wet='maybe' is not possible: true or false"),
        ("spade:depth=-1", "spade:depth='-1' is not possible: a finite number above 0"),
        ("spade:depth=inf", "spade:depth='inf' is not possible: a finite number above 0"),
        ("spade:depth=2,depth=3", "spade:depth='3' is not possible: given twice, first as 2"),
        ("spade:wet=yes,holes=13", "spade:holes=13 is not possible: not 13 where it is wet"),
        ("spade:name=x", "it takes depth"),
    ],
)
def test_text_that_cannot_be_is_refused_with_what_can(text, message):
    with pytest.raises(InvalidValue) as caught:
        registry.parse(text)
    assert message in str(caught.value)


def test_defaults_fill_in_what_the_thing_has_and_the_text_leaves_out():
    assert registry.parse("spade:holes=3", depth=9.0, holes=8, weight=7) == Spade(9.0, 3)
    assert registry.parse("rake", depth=9.0) == Rake()


def test_defaults_are_checked_like_all_else():
    with pytest.raises(InvalidValue, match="above 0"):
        registry.parse("spade", depth=-9.0)


def test_a_class_refuses_what_its_declaration_does_not_allow():
    for values in (
        {"depth": 0},
        {"depth": math.nan},
        {"depth": True},
        {"depth": "2"},
        {"holes": 1.5},
        {"holes": True},
        {"wet": 1},
        {"grip": None},
        {"wet": True, "holes": 13},
    ):
        with pytest.raises(InvalidValue, match="spade:"):
            Spade(**values)
        with pytest.raises(InvalidValue, match="spade:"):
            dataclasses.replace(Spade(), **values)


def test_numbers_of_numpy_and_torch_become_numbers_of_python():
    for given, holes in (
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.array(3), 3),
        (torch.tensor(3), 3),
    ):
        assert (made := Spade(holes=given)) == Spade(holes=holes), repr(given)
        assert type(made.holes) is int, repr(given)
    assert Spade(depth=np.float32(0.5), wet=np.bool_(True)) == Spade(0.5, wet=True)
    for values in (
        {"holes": np.float64(3)},
        {"holes": np.bool_(True)},
        {"holes": np.array([3])},
        {"depth": np.float32("nan")},
        {"depth": np.float16("inf")},
        {"wet": np.int64(1)},
    ):
        with pytest.raises(InvalidValue, match="spade:"):
            Spade(**values)


def test_things_are_created_by_keyword():
    assert registry.create("spade", holes=3) == Spade(holes=3)
    with pytest.raises(InvalidValue, match="it takes depth"):
        registry.create("spade", size=3)


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (Rake(), "rake"),
        (Spade(), "spade:depth=1.5,wet=False,grip=wood"),
        (Spade(1e6, 0, True), "spade:depth=1000000.0,holes=0,wet=True,grip=wood"),
        (Spade(depth=0.1 + 0.2), "spade:depth=0.30000000000000004,wet=False,grip=wood"),
    ],
)
def test_a_thing_is_spelt_so_that_it_reads_back(thing, text):
    assert spell(thing) == text
    assert registry.parse(text) == thing


@pytest.mark.parametrize("grip", ["wood,wet=true", "", " wood"])
def test_text_that_would_not_read_back_is_not_spelt(grip):
    with pytest.raises(InvalidValue, match="without commas"):
        spell(Spade(grip=grip))
