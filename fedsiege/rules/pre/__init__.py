"""Pre-aggregation: what is done to the updates of a round before a rule sees them.

To add one, write a file like ``clipping.py`` and import it below.
"""

from fedsiege.rules.pre.arc import ARC
from fedsiege.rules.pre.base import Mixed, PreAggregator, TolerantPreAggregator, registry
from fedsiege.rules.pre.bucketing import Bucketing
from fedsiege.rules.pre.clipping import Clipping
from fedsiege.rules.pre.nnm import NNM

create = registry.create
names = registry.names
parameters = registry.parameters
parse = registry.parse

__all__ = [
    "ARC",
    "NNM",
    "Bucketing",
    "Clipping",
    "Mixed",
    "PreAggregator",
    "TolerantPreAggregator",
    "create",
    "names",
    "parameters",
    "parse",
    "registry",
]
