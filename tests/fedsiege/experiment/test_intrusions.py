"""Ways to get in are read from text, with a count where one is given."""

import pytest

from fedsiege.errors import InvalidValue
from fedsiege.experiment import intrusions
from fedsiege.services.attacker.intrusions import IMPLEMENTATIONS


def test_names_with_and_without_a_count() -> None:
    assert intrusions.parse("sybils:30, replay") == {"sybils": 30, "replay": 10}
    assert intrusions.parse("") == {}


@pytest.mark.parametrize("text", ["sybil", "sybils:0", "sybils:many", "replay,replay", "sybils:"])
def test_the_impossible_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="INTRUSIONS"):
        intrusions.parse(text)


def test_every_intrusion_has_an_implementation() -> None:
    assert set(IMPLEMENTATIONS) == set(intrusions.INTRUSIONS)
