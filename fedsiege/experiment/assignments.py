"""Settings written as ``NAME=value``: arguments of the command line, of make, of Compose."""

import re
import shlex
from collections.abc import Iterable, Mapping

from fedsiege.errors import InvalidValue
from fedsiege.experiment.settings import no_such

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
#: Settings whose variables mean something else in many environments.
AMBIGUOUS = ("name", "port")


def is_assignment(word: str) -> bool:
    """Return whether a word is of the form ``NAME=value``."""
    return _ASSIGNMENT.fullmatch(word) is not None


def parse(words: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Read assignments; the last one of a name counts, an empty value leaves the name out.

    Args:
        words: assignments, such as ``ATTACK=0.2``.
        names: the settings that there are, such as ``attack``.

    Returns:
        Values by name as in ``names``.

    Raises:
        InvalidValue: a word is no assignment, or there is no setting of that name.
    """
    variables = {name.upper(): name for name in names}
    found = {}
    for word in words:
        match = _ASSIGNMENT.fullmatch(word)
        if match is None:
            raise InvalidValue("SETTINGS", word, "settings as NAME=value, with spaces between")
        variable, value = match.groups()
        if variable not in variables:
            raise InvalidValue(variable, value, no_such("variable", variable, sorted(variables)))
        found[variables[variable]] = value
    return {name: value for name, value in found.items() if value}


def split(text: str) -> list[str]:
    """Split a text into assignments at spaces, outside quotes.

    Raises:
        InvalidValue: a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        allowed = f"settings as NAME=value, with spaces between: {error}"
        raise InvalidValue("SETTINGS", text, allowed) from None


def from_plain_variables(environment: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the settings that environment variables of plain names give: ``ATTACK``.

    ``make`` and Compose name them so. Left out are empty variables, and those of ``AMBIGUOUS``.
    """
    values = {name: environment.get(name.upper(), "") for name in names if name not in AMBIGUOUS}
    return {name: value for name, value in values.items() if value}
