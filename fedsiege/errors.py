"""The errors of FedSiege.

- FedSiegeError              base of the others
  - InvalidValue             a parameter, option or name is not allowed
  - UnfitRound               a rule cannot aggregate the updates of a round
  - MissingData              a data set or a checkpoint is missing or damaged
  - RunFailed                a run of ``fedsiege.run`` did not finish; says why, and has its folder
"""

from pathlib import Path


class FedSiegeError(Exception):
    """Base of all errors that FedSiege raises. ``str(error)`` is a message for users."""


class InvalidValue(FedSiegeError, ValueError):
    """A value is not allowed; the message says which values are.

    Args:
        name: the parameter or option, as the user spells it.
        value: the given value.
        allowed: a description of the allowed values.
    """

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name = name
        self.value = value
        self.allowed = allowed
        super().__init__(f"{name}={value!r} is not possible: {allowed}")

    def __reduce__(self) -> tuple[type["InvalidValue"], tuple[str, object, str]]:
        return type(self), (self.name, self.value, self.allowed)


class UnfitRound(FedSiegeError, ValueError):
    """The updates of a round do not meet the requirements of a rule, such as ``2 f < n``."""


class MissingData(FedSiegeError):
    """A data set or a checkpoint is missing, damaged or cannot be downloaded."""


class RunFailed(FedSiegeError):
    """A run did not finish.

    Args:
        problem: why.
        folder: its results folder, which keeps the rounds so far; None if it has none.
    """

    def __init__(self, problem: str, folder: Path | None) -> None:
        self.problem = problem
        self.folder = folder
        kept = "" if folder is None else f"; {folder} has its results so far and its logs"
        super().__init__(f"the run did not finish: {problem}{kept}")

    def __reduce__(self) -> tuple[type["RunFailed"], tuple[str, Path | None]]:
        return type(self), (self.problem, self.folder)
