"""What a sample of a data set is: a picture, features or tokens; its shape, and the classes.

A model is built for one kind of inputs. As text they cross the wire, for attackers that hold no
data: ``image:channels=1,height=28,width=28,classes=10``.
"""

import abc
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from fedsiege.registry import Component, Registry

#: The most values that a sample may have, and the most classes: a limit for what peers send.
MOST_VALUES, MOST_CLASSES = 2**24, 100_000

Length = Annotated[int, Ge(1), Le(2**14)]


@dataclass(frozen=True)
class Inputs(Component, abc.ABC):
    """Base of the kinds of inputs."""

    #: Whether a sample is a picture, (channels, height, width).
    pictures: ClassVar[bool] = False
    #: Whether values are tokens, whole numbers, and not measurements.
    tokens: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as a model takes it."""

    @property
    @abc.abstractmethod
    def classes(self) -> int:
        """The number of classes, 2 or more."""

    def __str__(self) -> str:
        """Describe them in a few words, for people."""
        return f"{self.words}, {self.classes} classes"

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What a sample is, in a few words, for people."""


registry: Registry[Inputs] = Registry("inputs", Inputs)

Classes = Annotated[int, Ge(2), Le(MOST_CLASSES), "number of classes"]


@registry.register
@dataclass(frozen=True)
class Image(Inputs):
    """Pictures: ``(channels, height, width)`` float32."""

    name: ClassVar[str] = "image"
    summary: ClassVar[str] = "pictures"
    pictures: ClassVar[bool] = True

    channels: Annotated[int, Ge(1), Le(64), "1 grey, 3 red, green, blue"] = 1
    height: Annotated[Length, "rows of pixels"] = 28
    width: Annotated[Length, "columns of pixels"] = 28
    classes: Classes = 10

    @property
    def shape(self) -> tuple[int, ...]:
        """``(channels, height, width)``."""
        return self.channels, self.height, self.width

    @property
    def words(self) -> str:
        """Channels and size."""
        colour = {1: "grey", 3: "colour"}.get(self.channels, f"{self.channels}-channel")
        return f"{colour} pictures of {self.height}x{self.width}"


@registry.register
@dataclass(frozen=True)
class Features(Inputs):
    """Feature vectors, the rows of a table: ``(count,)`` float32."""

    name: ClassVar[str] = "features"
    summary: ClassVar[str] = "rows of a table"

    count: Annotated[int, Ge(1), Le(MOST_VALUES), "number of features"] = 1
    classes: Classes = 2

    @property
    def shape(self) -> tuple[int, ...]:
        """``(count,)``."""
        return (self.count,)

    @property
    def words(self) -> str:
        """The number of features."""
        return f"rows of {self.count} features"


@registry.register
@dataclass(frozen=True)
class Tokens(Inputs):
    """Sequences of tokens: ``(length,)`` int64, 0 to vocabulary - 1."""

    name: ClassVar[str] = "tokens"
    summary: ClassVar[str] = "sequences of tokens"
    tokens: ClassVar[bool] = True

    length: Annotated[Length, "tokens of a sample"] = 1
    vocabulary: Annotated[int, Ge(1), Le(MOST_CLASSES), "number of different tokens"] = 2
    classes: Classes = 2

    @property
    def shape(self) -> tuple[int, ...]:
        """``(length,)``."""
        return (self.length,)

    @property
    def words(self) -> str:
        """Length and vocabulary."""
        return f"sequences of {self.length} tokens out of {self.vocabulary}"


#: Grey pictures of 28x28 in ten classes: of MNIST, Fashion-MNIST and digits.
MNIST_LIKE = Image()


@dataclass(frozen=True)
class Domain:
    """The inputs of a data set, with the range that they are normalised to.

    Attributes:
        inputs: what a sample is.
        black: of pictures, the value of black, one for all channels or one for each.
        white: the value of white.
    """

    inputs: Inputs = MNIST_LIKE
    black: tuple[float, ...] = (-1.0,)
    white: tuple[float, ...] = (1.0,)


def parse(text: str) -> Inputs:
    """Read inputs from text, as ``registry.spell`` writes them.

    Raises:
        InvalidValue: it is no such text.
    """
    return registry.parse(text)
