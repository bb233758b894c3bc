"""Pre-aggregation: what is done to the updates of a round before a rule sees them.

To add a pre-aggregator, write one file like ``clipping.py`` and import it below: that registers it.
"""

from typing import TYPE_CHECKING

from fedsiege.renamed import renamed
from fedsiege.rules.pre.arc import ARC as ARC
from fedsiege.rules.pre.base import Mixed as Mixed
from fedsiege.rules.pre.base import PreAggregator as PreAggregator
from fedsiege.rules.pre.base import TolerantPreAggregator as TolerantPreAggregator
from fedsiege.rules.pre.base import registry as registry
from fedsiege.rules.pre.bucketing import Bucketing as Bucketing
from fedsiege.rules.pre.clipping import Clipping as Clipping
from fedsiege.rules.pre.nnm import NNM as NNM

create = registry.create
names = registry.names
parameters = registry.parameters
parse = registry.parse
register = registry.register

if not TYPE_CHECKING:  # else no type checker would find a wrong name
    __getattr__ = renamed(__name__, catalogue="registry")
