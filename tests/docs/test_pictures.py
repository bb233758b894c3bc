"""The pictures show what the commands beside them make; ``make pictures`` makes them anew."""

import os
import re

import pytest

import fedsiege
from tests.docs.pages import TEXTS
from tests.docs.pictures import MPAF


@pytest.mark.slow
@pytest.mark.skipif(
    "FEDSIEGE_DATA" not in os.environ, reason="FEDSIEGE_DATA, with MNIST, is not set"
)
def test_the_first_picture_shows_the_run_of_its_caption(tmp_path):
    settings = dict(word.lower().split("=") for word in MPAF.split()[2:])
    run = fedsiege.run(settings, out=tmp_path / "run", progress=False)
    accuracy = 100 * run.history["accuracy"]
    for page in ("README.md", "docs/index.md"):
        said = re.search(
            r"!\[Accuracy by round: ([\d.]+) % before round 1, ([\d.]+) % after round (\d+), "
            r"([\d.]+) % after round (\d+)\]",
            TEXTS[page],
        )
        assert said, page
        assert MPAF in TEXTS[page]
        shown = {0: said[1], int(said[3]): said[2], int(said[5]): said[4]}
        assert shown == {number: f"{accuracy[number]:.1f}" for number in shown}
