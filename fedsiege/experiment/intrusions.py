"""Intrusions by name: how an attacker tries to get in, or to count for more than one participant.

They measure what an admission mode is worth; ``services/attacker/intrusions`` carries them out.
"""

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from annotated_types import Ge, Le

from fedsiege import grammar
from fedsiege.errors import InvalidValue
from fedsiege.registry import Parameter

#: Name, what it is, and how often it is tried where no count is given.
INTRUSIONS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "control": ("open rounds and federations, as only the control plane may", 1),
        "double": ("send an own update a second time in one round", 1),
        "foreign-certificate": ("show a certificate of another authority", 1),
        "replay": ("send an update in another participant's name", 10),
        "silent-streams": ("open streams and say nothing", 50),
        "sybils": ("enrol identities, as many as one can", 1000),
        "token-reuse": ("enrol identities with a token that is used up", 10),
    }
)
#: How often one of them may be tried.
_COUNT = Parameter("count", Annotated[int, Ge(1), Le(100_000)])


def parse(text: str) -> dict[str, int]:
    """Read ``name,name:count``: how often to try what, in the order given.

    Args:
        text: names of ``INTRUSIONS``, separated by commas, each with a count from 1 to 100,000
            behind a colon, or without one; empty for none.

    Raises:
        InvalidValue: an unknown name, a name twice, a count out of range.
    """
    wanted: dict[str, int] = {}
    try:
        for name, count in grammar.pairs("intrusions", text, ":"):
            if name or count is not None:  # a comma too many is no intrusion
                wanted[name] = _count(name, count)
    except InvalidValue as error:
        raise InvalidValue("INTRUSIONS", text, f"at {error.name}, {error.allowed}") from error
    return wanted


def _count(name: str, count: str | None) -> int:
    """Return how often to try an intrusion, from the text behind its colon."""
    if name not in INTRUSIONS:
        near = difflib.get_close_matches(name, INTRUSIONS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise InvalidValue(name, count, f"{hint}There are: {', '.join(INTRUSIONS)}")
    return INTRUSIONS[name][1] if count is None else _COUNT.read(name, count)
