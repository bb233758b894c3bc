"""Pre-aggregation: what is done to the updates of a round before a rule sees them.

To add one, write a file like ``clipping.py`` and import it below.
"""

from fedsiege.aggregation.pre.arc import ARC
from fedsiege.aggregation.pre.base import Mixed, PreAggregator, TolerantPreAggregator, catalogue
from fedsiege.aggregation.pre.bucketing import Bucketing
from fedsiege.aggregation.pre.clipping import Clipping
from fedsiege.aggregation.pre.nnm import NNM

create = catalogue.create
names = catalogue.names
parameters = catalogue.parameters
parse = catalogue.parse

__all__ = [
    "ARC",
    "NNM",
    "Bucketing",
    "Clipping",
    "Mixed",
    "PreAggregator",
    "TolerantPreAggregator",
    "catalogue",
    "create",
    "names",
    "parameters",
    "parse",
]
