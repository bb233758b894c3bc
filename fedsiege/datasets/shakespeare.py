"""Shakespeare by speaker: sequences of characters, and the character that follows."""

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from fedsiege.datasets import cache
from fedsiege.datasets.base import Dataset, DatasetSource, Published, registry
from fedsiege.datasets.preparation import AsTokens
from fedsiege.errors import MissingData
from fedsiege.inputs import Tokens

#: The characters of the text, in order; a token is a position in it.
CHARACTERS = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
#: The share of each speaker's text that is trained on: its beginning.
_TRAINED = 0.8


@registry.register
@dataclass(frozen=True)
class Shakespeare(DatasetSource):
    r"""Read what the speakers in Shakespeare's plays say, to predict the next character.

    A sample is a sequence of ``length`` characters of one speaker; its label is the character that
    follows:

    .. math::

        x = (c_t, \ldots, c_{t+L-1}), \qquad y = c_{t+L}, \qquad t = 0, S, 2S, \ldots

    for a length :math:`L` and a stride :math:`S`. All lines of a speaker are put together, in the
    order of the text. The first 80 % of them are trained on and the rest is tested on, so that no
    sequence is in both. Speakers with less than one sequence to train on are left out. Each speaker
    is a natural participant. There are 65 characters.

    LEAF takes a role in each play for a participant; the text here does not name the plays, so that
    a "First Citizen" of all plays is one.

    Source:
        The text: Andrej Karpathy, `char-rnn <https://github.com/karpathy/char-rnn>`_, 2015. The
        task: Sebastian Caldas et al., `LEAF: A Benchmark for Federated Settings
        <https://arxiv.org/abs/1812.01097>`_, 2018.
    """

    name = "shakespeare"
    summary = "what Shakespeare's speakers say: the next character"

    length: Annotated[int, Ge(1), Le(1000), "characters of a sample, as in LEAF"] = 80
    stride: Annotated[int, Ge(1), Le(1000), "characters from one sample to the next"] = 10

    @property
    def inputs(self) -> Tokens:
        """Sequences of 65 characters, and as many classes."""
        return Tokens(self.length, len(CHARACTERS), len(CHARACTERS))

    @property
    def published(self) -> tuple[Published, ...]:
        """One file."""
        url = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
        return (Published("text/tinyshakespeare.txt", url, "6fb458f1232090904fb40fe944165e91"),)

    def fetch(self, root: Path, limit_s: float) -> None:
        """Download the file."""
        self.published[0].fetch(self.name, root, limit_s)

    def read(self, root: Path) -> Dataset:
        """Return the data set, mapped from the arrays that are made of the text."""
        file = root / self.published[0].file
        made = f"shakespeare {self.length} {self.stride}"
        arrays = cache.mapped([file], made, lambda folder: self._write(file, folder))
        return Dataset.of(
            self.name,
            arrays,
            inputs=self.inputs,
            preparation=AsTokens(),
            class_names=tuple(repr(one)[1:-1] if one < "!" else one for one in CHARACTERS),
            groups=arrays["groups"],
        )

    def _write(self, file: Path, folder: Path) -> None:
        """Cut the text into sequences.

        Raises:
            MissingData: it is not that text.
        """
        try:
            text = file.read_bytes().decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise MissingData(f"{file} cannot be read: {error}") from error
        if strange := sorted(set(text) - set(CHARACTERS)):
            raise MissingData(
                f"{file} has the character {strange[0]!r}, which Shakespeare's has not"
            )
        made: dict[str, list[npt.NDArray[np.uint8]]] = {"train": [], "test": []}
        groups: list[int] = []
        for said in _by_speaker(text).values():
            tokens = np.array([CHARACTERS.index(one) for one in said], np.uint8)
            cut = int(_TRAINED * len(tokens))
            train = self._windows(tokens[:cut])
            if not len(train):
                continue
            groups += [len(made["train"])] * len(train)
            made["train"].append(train)
            made["test"].append(self._windows(tokens[cut:]))
        if not groups or not sum(map(len, made["test"])):
            allowed = f"no speaker says {self.length + 1} characters to train and to test on"
            raise MissingData(f"{file} cannot be divided: {allowed}")
        for part, windows in made.items():
            every = np.concatenate(windows)
            cache.save(folder, **{f"{part}_samples": every[:, :-1]})
            cache.save(folder, **{f"{part}_labels": every[:, -1].astype(np.int64)})
        cache.save(folder, groups=np.array(groups, np.int64))

    def _windows(self, tokens: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return ``(N, length + 1)``: the sequences of a text with the token that follows each."""
        if len(tokens) <= self.length:
            return np.empty((0, self.length + 1), np.uint8)
        windows = np.lib.stride_tricks.sliding_window_view(tokens, self.length + 1)
        return windows[:: self.stride]


def _by_speaker(text: str) -> dict[str, str]:
    """Return the lines of each speaker: paragraphs begin with a name and a colon."""
    said: dict[str, list[str]] = {}
    for paragraph in text.split("\n\n"):
        name, colon, lines = paragraph.strip().partition(":\n")
        if colon and "\n" not in name:
            said.setdefault(name, []).append(lines)
    return {name: "\n".join(lines) for name, lines in said.items()}
