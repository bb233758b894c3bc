"""The attacks by name: ``attacks.create("mpaf", scale=2)``, ``attacks.parse("mpaf:scale=2")``.

To add an attack, write one file like ``fake/history.py`` and import it below: that registers it.
"""

from typing import TYPE_CHECKING

from fedsiege.attacks.adaptive.ad_anti import AdAnti as AdAnti
from fedsiege.attacks.adaptive.ad_drift import AdDrift as AdDrift
from fedsiege.attacks.adaptive.ad_hist import AdHist as AdHist
from fedsiege.attacks.adaptive.ad_mpaf import AdMpaf as AdMpaf
from fedsiege.attacks.adaptive.ad_sgn import AdSgn as AdSgn
from fedsiege.attacks.adaptive.ad_sleep import AdSleep as AdSleep
from fedsiege.attacks.adaptive.ad_synth import AdSynth as AdSynth
from fedsiege.attacks.adaptive.ad_synth import AdSynthP as AdSynthP
from fedsiege.attacks.backdoors.backdoor import BackdoorAttack as BackdoorAttack
from fedsiege.attacks.backdoors.backdoor import TriggerAttack as TriggerAttack
from fedsiege.attacks.backdoors.badnets import BadNets as BadNets
from fedsiege.attacks.backdoors.dba import Dba as Dba
from fedsiege.attacks.backdoors.edge_case import EdgeCase as EdgeCase
from fedsiege.attacks.backdoors.input_instance import InputInstance as InputInstance
from fedsiege.attacks.backdoors.model_replacement import ModelReplacement as ModelReplacement
from fedsiege.attacks.backdoors.neurotoxin import Neurotoxin as Neurotoxin
from fedsiege.attacks.base import Attack as Attack
from fedsiege.attacks.base import Broadcast as Broadcast
from fedsiege.attacks.base import CompromisedAttack as CompromisedAttack
from fedsiege.attacks.base import Knowledge as Knowledge
from fedsiege.attacks.base import PoisoningAttack as PoisoningAttack
from fedsiege.attacks.base import Setting as Setting
from fedsiege.attacks.base import StatefulAttack as StatefulAttack
from fedsiege.attacks.base import registry as registry
from fedsiege.attacks.compromised.adaptive import AdaptiveAlie as AdaptiveAlie
from fedsiege.attacks.compromised.adaptive import AdaptiveIpm as AdaptiveIpm
from fedsiege.attacks.compromised.alie import Alie as Alie
from fedsiege.attacks.compromised.bounded_shift import MinMax as MinMax
from fedsiege.attacks.compromised.bounded_shift import MinSum as MinSum
from fedsiege.attacks.compromised.fang_krum import FangKrum as FangKrum
from fedsiege.attacks.compromised.fang_trimmed_mean import FangTrimmedMean as FangTrimmedMean
from fedsiege.attacks.compromised.gaussian import Gaussian as Gaussian
from fedsiege.attacks.compromised.ipm import Ipm as Ipm
from fedsiege.attacks.compromised.mimic import Mimic as Mimic
from fedsiege.attacks.compromised.scaling import Scaling as Scaling
from fedsiege.attacks.compromised.sign_flip import SignFlip as SignFlip
from fedsiege.attacks.compromised.sign_flip import SignFlipGradient as SignFlipGradient
from fedsiege.attacks.data_poisoning.label_flip import LabelFlip as LabelFlip
from fedsiege.attacks.fake.absent import Absent as Absent
from fedsiege.attacks.fake.flooding import Flooding as Flooding
from fedsiege.attacks.fake.forged_metadata import ForgedMetadata as ForgedMetadata
from fedsiege.attacks.fake.free_rider import FreeRider as FreeRider
from fedsiege.attacks.fake.history import History as History
from fedsiege.attacks.fake.mpaf import Mpaf as Mpaf
from fedsiege.attacks.fake.mpaf import MpafMatched as MpafMatched
from fedsiege.attacks.fake.mpaf import MpafSpread as MpafSpread
from fedsiege.attacks.fake.poisonedfl import PoisonedFL as PoisonedFL
from fedsiege.attacks.fake.poisonedfl import PoisonedFLNoise as PoisonedFLNoise
from fedsiege.attacks.fake.random import Random as Random
from fedsiege.attacks.fake.replay import Replay as Replay
from fedsiege.registry import spell as spell
from fedsiege.renamed import renamed

create = registry.create
names = registry.names
parameters = registry.parameters
parse = registry.parse
register = registry.register

if not TYPE_CHECKING:  # else no type checker would find a wrong name
    __getattr__ = renamed(__name__, catalogue="registry")
