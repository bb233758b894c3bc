"""Aggregation rules: the updates of a round in, the one update of the global model out.

To add a rule, write one file like ``median.py`` and import it below.
"""

from fedsiege.aggregation.base import Aggregation, Rule, StatefulRule, TolerantRule, catalogue
from fedsiege.aggregation.context import RoundContext
from fedsiege.aggregation.distances import squared_distances
from fedsiege.aggregation.fedavg import FedAvg
from fedsiege.aggregation.krum import Krum
from fedsiege.aggregation.median import Median
from fedsiege.aggregation.multi_krum import MultiKrum
from fedsiege.aggregation.norm_clipping import NormClipping
from fedsiege.aggregation.norms import norm_of
from fedsiege.aggregation.running_sum import RunningSum
from fedsiege.aggregation.streaming import StreamingRule
from fedsiege.aggregation.trimmed_mean import TrimmedMean
from fedsiege.catalogue import spell

create = catalogue.create
names = catalogue.names
parameters = catalogue.parameters
parse = catalogue.parse

__all__ = [
    "Aggregation",
    "FedAvg",
    "Krum",
    "Median",
    "MultiKrum",
    "NormClipping",
    "RoundContext",
    "Rule",
    "RunningSum",
    "StatefulRule",
    "StreamingRule",
    "TolerantRule",
    "TrimmedMean",
    "catalogue",
    "create",
    "names",
    "norm_of",
    "parameters",
    "parse",
    "spell",
    "squared_distances",
]
