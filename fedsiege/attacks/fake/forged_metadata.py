"""MPAF with forged sample and step counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from fedsiege.attacks.base import registry
from fedsiege.attacks.fake.mpaf import Mpaf

_MOST = 2**63 - 1


@registry.register
@dataclass(frozen=True)
class ForgedMetadata(Mpaf):
    """The update of ``mpaf`` with forged sample and step counts.

    A weighted mean gives a fake with ``n_i`` samples the weight ``n_i / sum n``. FedNova divides by
    the steps ``tau_i`` and multiplies by their mean, so that a participant that reports few steps
    counts for more. Rules that use either count must bound it.

    Source: the step counts after Wang et al., FedNova, NeurIPS 2020, section 4, which trusts them.
    """

    name: ClassVar[str] = "forged-metadata"
    summary: ClassVar[str] = "mpaf that reports very many samples and very few steps"

    samples: Annotated[int, Ge(0), Le(_MOST), "sample count that each fake reports"] = 1000000000
    steps: Annotated[int, Ge(0), Le(_MOST), "number of local steps that each fake reports"] = 1

    def claim(self, participants: Sequence[int]) -> tuple[int, int]:
        """Return the forged counts."""
        return self.samples, self.steps
