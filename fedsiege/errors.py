"""The errors of FedSiege.

- FedSiegeError              base of the others
  - InvalidValue             a parameter, option or name is not allowed
  - UnfitRound               a rule cannot aggregate the updates of a round
  - MissingData              a data set or a checkpoint is missing or damaged
  - MissingExtra             an optional package is not installed; says which extra brings it
"""


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


class MissingExtra(FedSiegeError, ImportError):
    """An optional package is not installed.

    Args:
        purpose: what needs it, such as "a data frame".
        package: the package.
        extra: the extra of ``fedsiege`` that installs it.
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'fedsiege[{extra}]'")
