"""Aggregation rules: the updates of a round in, the one update of the global model out.

To add a rule, write one file like ``median.py`` and import it below.
"""

from fedsiege.numerics.distances import squared_distances
from fedsiege.numerics.norms import norm_of
from fedsiege.numerics.running_sum import RunningSum
from fedsiege.registry import spell
from fedsiege.rules.auror import Auror
from fedsiege.rules.base import Aggregation, Rule, StatefulRule, TolerantRule, registry
from fedsiege.rules.bulyan import Bulyan
from fedsiege.rules.caf import CAF
from fedsiege.rules.centered_clipping import CenteredClipping
from fedsiege.rules.context import RoundContext
from fedsiege.rules.crfl import Crfl
from fedsiege.rules.dnc import DnC
from fedsiege.rules.fedavg import FedAvg
from fedsiege.rules.fednova import FedNova
from fedsiege.rules.fedredefense import FedREDefense
from fedsiege.rules.flame import Flame
from fedsiege.rules.fldetector import FLDetector
from fedsiege.rules.fltrust import FLTrust
from fedsiege.rules.foolsgold import FoolsGold
from fedsiege.rules.foundationfl import FoundationFL
from fedsiege.rules.geometric_median import GeometricMedian
from fedsiege.rules.krum import Krum
from fedsiege.rules.layerguard import LayerGuard
from fedsiege.rules.mda import MDA
from fedsiege.rules.meamed import Meamed
from fedsiege.rules.median import Median
from fedsiege.rules.multi_krum import MultiKrum
from fedsiege.rules.norm_clipping import NormClipping
from fedsiege.rules.pipeline import Pipeline, create, parse
from fedsiege.rules.rfout1d import RFOut1d
from fedsiege.rules.rfout1d_robust import RFOut1dRobust
from fedsiege.rules.sentinel import Sentinel
from fedsiege.rules.signguard import SignGuard
from fedsiege.rules.smea import SMEA
from fedsiege.rules.specguard import SpecGuard
from fedsiege.rules.streaming import StreamingRule
from fedsiege.rules.trimmed_mean import TrimmedMean
from fedsiege.rules.weak_dp import WeakDp

names = registry.names
parameters = registry.parameters

__all__ = [
    "CAF",
    "MDA",
    "SMEA",
    "Aggregation",
    "Auror",
    "Bulyan",
    "CenteredClipping",
    "Crfl",
    "DnC",
    "FLDetector",
    "FLTrust",
    "FedAvg",
    "FedNova",
    "FedREDefense",
    "Flame",
    "FoolsGold",
    "FoundationFL",
    "GeometricMedian",
    "Krum",
    "LayerGuard",
    "Meamed",
    "Median",
    "MultiKrum",
    "NormClipping",
    "Pipeline",
    "RFOut1d",
    "RFOut1dRobust",
    "RoundContext",
    "Rule",
    "RunningSum",
    "Sentinel",
    "SignGuard",
    "SpecGuard",
    "StatefulRule",
    "StreamingRule",
    "TolerantRule",
    "TrimmedMean",
    "WeakDp",
    "create",
    "names",
    "norm_of",
    "parameters",
    "parse",
    "registry",
    "spell",
    "squared_distances",
]
