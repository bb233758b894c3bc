"""MPAF that claims to have trained on more than it has: metadata is attack surface too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fedsiege.attacks.base import registry
from fedsiege.attacks.fake.mpaf import Mpaf

_MOST = 2**63 - 1


@registry.register
@dataclass(frozen=True)
class ForgedMetadata(Mpaf):
    """The update of ``mpaf`` with sample and step counts that nobody has.

    A weighted mean gives a fake with ``n_i`` samples the weight ``n_i / sum n``; FedNova divides by
    the steps ``tau_i`` and multiplies by their mean, so that who claims few counts for more. Rules
    that use either must bound it.

    Args:
        scale: as of ``mpaf``.
        base: as of ``mpaf``.
        samples: the sample count that each fake reports, 0 to 2**63 - 1.
        steps: the number of local steps that each reports, 0 to 2**63 - 1.

    Raises:
        InvalidValue: a value is out of its range.

    Source: the step counts after Wang et al., FedNova, NeurIPS 2020, section 4, which trusts them.
    """

    name: ClassVar[str] = "forged-metadata"
    summary: ClassVar[str] = "mpaf that claims a huge number of samples and hardly any steps"

    samples: int = 1_000_000_000
    steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for parameter in ("samples", "steps"):
            self.require_whole(parameter, 0, _MOST)

    def claim(self, participants: Sequence[int]) -> tuple[int, int]:
        """Return the forged counts."""
        return self.samples, self.steps
