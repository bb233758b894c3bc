import dataclasses
import math
from typing import ClassVar

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.registry import Parameter, Registry, spell

registry: Registry["Spade"] = Registry("tool")


@registry.register
@dataclasses.dataclass(frozen=True)
class Spade:
    """A thing with a parameter of every type."""

    name: ClassVar[str] = "spade"
    summary: ClassVar[str] = "digs"

    depth: float = 1.5
    holes: int | None = None
    wet: bool = False
    grip: str = "wood"

    def __post_init__(self) -> None:
        if self.depth <= 0:
            raise InvalidValue("spade:depth", self.depth, "above 0")


@registry.register
@dataclasses.dataclass(frozen=True)
class Rake:
    """A thing without parameters."""

    name: ClassVar[str] = "rake"
    summary: ClassVar[str] = "rakes"


def test_names_are_in_alphabetical_order():
    assert registry.names() == ["rake", "spade"]
    assert list(registry) == [Rake, Spade]


def test_a_name_is_taken_once():
    with pytest.raises(RuntimeError, match="two tools are called 'rake'"):
        registry.register(Rake)


def test_parameters_are_listed_with_type_and_default():
    assert registry.parameters("rake") == []
    assert registry.parameters("spade") == [
        Parameter("depth", "float", "1.5"),
        Parameter("holes", "int | None", "None"),
        Parameter("wet", "bool", "False"),
        Parameter("grip", "str", "wood"),
    ]


@pytest.mark.parametrize(
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
        ("spade:depth=inf", Spade(depth=math.inf)),
    ],
)
def test_text_is_read(text, thing):
    assert registry.parse(text) == thing


@pytest.mark.parametrize(
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
        ("spade:depth=deep", "spade:depth='deep' is not possible: a number"),
        ("spade:holes=1.5", "spade:holes='1.5' is not possible: a whole number"),
        ("spade:wet=maybe", "spade:wet='maybe' is not possible: true or false"),
        ("spade:depth=-1", "spade:depth=-1.0 is not possible: above 0"),
        ("spade:depth=2,depth=3", "spade:depth='3' is not possible: it is already 2.0"),
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
