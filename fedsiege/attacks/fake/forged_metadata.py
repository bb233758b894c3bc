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
    r"""Send the update of ``mpaf`` with a forged sample count and step count.

    A fake client knows the broadcast model only. It aims at more weight than an honest participant
    has, in rules that trust what participants report:

    .. math::

        g = \text{scale} \cdot (w' - w_t), \qquad
        n_i = \text{samples}, \qquad \tau_i = \text{steps}

    :math:`w_t` is the broadcast model and :math:`w'` the base model of ``mpaf``. A weighted mean
    gives a fake that reports :math:`n_i` samples the weight :math:`n_i / \sum_j n_j`. FedNova
    divides an update by the number of steps :math:`\tau_i` and multiplies the mean by their mean,
    so that a participant that reports few steps counts for more. Rules that use either count must
    bound it.

    Source:
        FedSiege's own: see :doc:`/attacks`. The update is that of Xiaoyu Cao and Neil Zhenqiang
        Gong, `MPAF: Model Poisoning Attacks to Federated Learning based on Fake Clients
        <https://arxiv.org/abs/2203.08669>`_, CVPR Workshops 2022, section 4. The step counts are
        trusted by Jianyu Wang, Qinghua Liu, Hao Liang, Gauri Joshi and H. Vincent Poor, `Tackling
        the Objective Inconsistency Problem in Heterogeneous Federated Optimization
        <https://arxiv.org/abs/2007.07481>`_ (FedNova), NeurIPS 2020, section 4.
    """

    name: ClassVar[str] = "forged-metadata"
    summary: ClassVar[str] = "mpaf that reports very many samples and very few steps"

    samples: Annotated[int, Ge(0), Le(_MOST), "sample count that each fake reports"] = 1000000000
    steps: Annotated[int, Ge(0), Le(_MOST), "number of local steps that each fake reports"] = 1

    def claim(self, participants: Sequence[int]) -> tuple[int, int]:
        """Return the forged counts."""
        return self.samples, self.steps
