"""The classes that an attack concerns, as parameters."""

from fedsiege.attacks.base import Attack
from fedsiege.errors import InvalidValue

#: Every data set and every model of FedSiege has ten classes.
CLASSES = 10


def require_class(attack: Attack, parameter: str) -> None:
    """Check that a parameter is one of the classes.

    Raises:
        InvalidValue: it is not a whole number from 0 to 9.
    """
    attack.require_whole(parameter, 0, CLASSES - 1)


def require_another(attack: Attack, source: int, target: int) -> None:
    """Check that the class to be misclassified is not the one it shall be taken for.

    Raises:
        InvalidValue: they are the same.
    """
    if source == target:
        raise InvalidValue(f"{attack.name}:target", target, f"another class than source={source}")
