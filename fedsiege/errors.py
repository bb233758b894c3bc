"""The errors of FedSiege.

- FedSiegeError              everything below; its text is meant for people
  - InvalidValue             a parameter, option or name is out of its range; says key, value, range
  - UnfitRound               a rule cannot work with the updates at hand, for instance f too large
  - MissingData              a data set or checkpoint is not where it should be
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
