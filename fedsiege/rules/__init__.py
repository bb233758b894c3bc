"""Aggregation rules: the updates of a round in, the one update of the global model out.

To add a rule, write one file like ``median.py`` and import it below: that registers it.
"""

from typing import TYPE_CHECKING

from fedsiege.numerics.distances import norm_of as norm_of
from fedsiege.numerics.distances import squared_distances as squared_distances
from fedsiege.numerics.running_sum import RunningSum as RunningSum
from fedsiege.registry import spell as spell
from fedsiege.renamed import renamed
from fedsiege.rules.auror import Auror as Auror
from fedsiege.rules.base import Aggregation as Aggregation
from fedsiege.rules.base import Rule as Rule
from fedsiege.rules.base import StatefulRule as StatefulRule
from fedsiege.rules.base import TolerantRule as TolerantRule
from fedsiege.rules.base import registry as registry
from fedsiege.rules.bulyan import Bulyan as Bulyan
from fedsiege.rules.caf import CAF as CAF
from fedsiege.rules.centered_clipping import CenteredClipping as CenteredClipping
from fedsiege.rules.context import RoundContext as RoundContext
from fedsiege.rules.crfl import Crfl as Crfl
from fedsiege.rules.dnc import DnC as DnC
from fedsiege.rules.dp_fedavg import DpFedAvg as DpFedAvg
from fedsiege.rules.fedavg import FedAvg as FedAvg
from fedsiege.rules.fednova import FedNova as FedNova
from fedsiege.rules.fedredefense import FedREDefense as FedREDefense
from fedsiege.rules.flame import Flame as Flame
from fedsiege.rules.fldetector import FLDetector as FLDetector
from fedsiege.rules.fltrust import FLTrust as FLTrust
from fedsiege.rules.foolsgold import FoolsGold as FoolsGold
from fedsiege.rules.foundationfl import FoundationFL as FoundationFL
from fedsiege.rules.geometric_median import GeometricMedian as GeometricMedian
from fedsiege.rules.krum import Krum as Krum
from fedsiege.rules.layerguard import LayerGuard as LayerGuard
from fedsiege.rules.mda import MDA as MDA
from fedsiege.rules.meamed import Meamed as Meamed
from fedsiege.rules.median import Median as Median
from fedsiege.rules.multi_krum import MultiKrum as MultiKrum
from fedsiege.rules.norm_clipping import NormClipping as NormClipping
from fedsiege.rules.pipeline import Pipeline as Pipeline
from fedsiege.rules.pipeline import create as create
from fedsiege.rules.pipeline import parse as parse
from fedsiege.rules.rfout1d import RFOut1d as RFOut1d
from fedsiege.rules.rfout1d_robust import RFOut1dRobust as RFOut1dRobust
from fedsiege.rules.sentinel import Sentinel as Sentinel
from fedsiege.rules.signguard import SignGuard as SignGuard
from fedsiege.rules.smea import SMEA as SMEA
from fedsiege.rules.specguard import SpecGuard as SpecGuard
from fedsiege.rules.streaming import StreamingRule as StreamingRule
from fedsiege.rules.trimmed_mean import TrimmedMean as TrimmedMean
from fedsiege.rules.updates import apply as apply
from fedsiege.rules.updates import deltas as deltas
from fedsiege.rules.weak_dp import WeakDp as WeakDp

names = registry.names
parameters = registry.parameters
register = registry.register

if not TYPE_CHECKING:  # else no type checker would find a wrong name
    __getattr__ = renamed(__name__, catalogue="registry")
