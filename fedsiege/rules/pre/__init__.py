"""Pre-aggregation: what is done to the updates of a round before a rule sees them.

To add one, write a file like ``clipping.py`` and import it below.
"""

from fedsiege.rules.pre.arc import ARC
from fedsiege.rules.pre.base import Mixed, PreAggregator, TolerantPreAggregator, catalogue
from fedsiege.rules.pre.bucketing import Bucketing
from fedsiege.rules.pre.clipping import Clipping
from fedsiege.rules.pre.nnm import NNM

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
