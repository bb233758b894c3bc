"""Partitions: how the training samples are divided among the participants.

Every worker computes the same shares from (labels, participants, samples, seed) and takes those of
the participants it hosts. Fake clients have shares too, which are not used.

To add a partition, write one file like ``iid.py`` and import it below: that registers it.
"""

from fedsiege.partitions.base import Indices as Indices
from fedsiege.partitions.base import Labels as Labels
from fedsiege.partitions.base import Partition as Partition
from fedsiege.partitions.base import names as names
from fedsiege.partitions.base import parse as parse
from fedsiege.partitions.base import registry as registry
from fedsiege.partitions.dirichlet import Dirichlet as Dirichlet
from fedsiege.partitions.dirichlet import DirichletPrior as DirichletPrior
from fedsiege.partitions.iid import Iid as Iid
from fedsiege.partitions.natural import Natural as Natural
from fedsiege.partitions.pathological import Pathological as Pathological
from fedsiege.partitions.quantity import Quantity as Quantity
from fedsiege.partitions.sample import Sample as Sample
