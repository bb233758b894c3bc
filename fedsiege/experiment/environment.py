"""The variables ``FEDSIEGE_...`` of the environment: which there are, and that none is misspelt."""

import difflib
import re
from collections.abc import Iterator, Mapping

from fedsiege.errors import InvalidValue

PREFIX = "FEDSIEGE_"
#: Variables that are no settings of an experiment, by what follows the prefix.
OTHERS = ("ADMISSION", "CERTS", "DATA", "DATA_FILES", "LIMITS", "PLUGINS", "SECRET", "TOKENS")
#: What Kubernetes and Docker set in every container beside a service that is called fedsiege.
_OF_ENGINES = re.compile(
    r"(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP)(_(ADDR|PORT|PROTO))?)?)", re.ASCII
)


def settings() -> list[str]:
    """Return the names of the settings of an experiment as variables: ``FEDSIEGE_ATTACK`` ..."""
    # Here and not above: it takes pydantic, for which workers in their containers need not wait.
    from fedsiege.experiment.spec import ExperimentSpec

    return [f"{PREFIX}{name.upper()}" for name in ExperimentSpec.model_fields]


def check(environment: Mapping[str, str]) -> None:
    """Refuse a variable of FedSiege that nothing reads: it would be ignored without a word.

    Raises:
        InvalidValue: there is no such variable; the error names the nearest.
    """
    others = [PREFIX + name for name in OTHERS]
    given = [one for one in environment if one.upper().startswith(PREFIX) and environment[one]]
    for name in given:
        if name in others or _OF_ENGINES.fullmatch(name.removeprefix(PREFIX)):
            continue
        known = [*settings(), *others]
        if name in known:
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        there = ", ".join(sorted(one.removeprefix(PREFIX) for one in set(known)))
        allowed = f"there is no such variable, {hint}Behind {PREFIX} there may be: {there}"
        raise InvalidValue(name, environment[name], allowed)


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without settings, for a run that is given all of its own.

    Variables of FedSiege that are no settings, such as FEDSIEGE_DATA, stay.
    """
    kept = {PREFIX + name for name in OTHERS} - set(settings())
    return {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(PREFIX) or name in kept
    }


def unread(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the settings of the environment, for commands that read none."""
    others = {PREFIX + name for name in OTHERS}
    return (name for name in settings() if environment.get(name) and name not in others)
