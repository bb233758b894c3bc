"""The errors of FedSiege.

- FedSiegeError              everything below; its text is meant for people
  - InvalidValue             a parameter, option or name is out of its range; says key, value, range
  - UnfitRound               a rule cannot work with the updates at hand, for instance f too large
  - MissingData              a data set or checkpoint is not where it should be
  - MissingExtra             an optional package is not installed; says which extra brings it
"""


class FedSiegeError(Exception):
    """Base of all errors raised on purpose. ``str(error)`` is fit to be shown to a person."""


class InvalidValue(FedSiegeError, ValueError):
    """A value is not allowed.

    Args:
        name: the parameter or option, as the user spells it.
        value: what was given.
        allowed: what would be right, for people.
    """

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name = name
        self.value = value
        self.allowed = allowed
        super().__init__(f"{name}={value!r} is not possible: {allowed}")

    def __reduce__(self) -> tuple[type["InvalidValue"], tuple[str, object, str]]:
        return type(self), (self.name, self.value, self.allowed)


class UnfitRound(FedSiegeError, ValueError):
    """The updates of a round do not satisfy what a rule needs."""


class MissingData(FedSiegeError):
    """A data set or a checkpoint is missing."""


class MissingExtra(FedSiegeError, ImportError):
    """An optional package is not installed.

    Args:
        purpose: what needs it, such as "a data frame".
        package: the package.
        extra: the extra of ``fedsiege`` that installs it.
    """

    def __init__(self, purpose: str, package: str, extra: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'fedsiege[{extra}]'")
