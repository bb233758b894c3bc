"""The knowledge of an experiment's attack."""

from dataclasses import dataclass
from typing import Self

from fedsiege.errors import InvalidValue
from fedsiege.experiment.spec import ExperimentSpec


@dataclass(frozen=True)
class Knowledge:
    """The knowledge that an attack is handed.

    Attributes:
        level: none, partial or full; "unknown" if this version does not have the attack.
        meaning: the level in words.
    """

    level: str
    meaning: str

    @classmethod
    def of(cls, spec: ExperimentSpec) -> Self | None:
        """Return the knowledge of a specification's attack; None without an attack."""
        if not spec.attack:
            return None
        from fedsiege import attacks  # imports torch

        try:
            known = attacks.parse(spec.attack_name).knows
        except InvalidValue as error:
            return cls("unknown", str(error))
        return cls(known.name.lower(), known.value)

    def __str__(self) -> str:
        return f"{self.level}, {self.meaning}"
