"""The attacks by name: ``attacks.create("mpaf", scale=2)``, ``attacks.parse("mpaf:scale=2")``.

To add an attack, write one file like ``history.py`` and import it below.
"""

from fedsiege.attacks.absent import Absent
from fedsiege.attacks.ad_anti import AdAnti
from fedsiege.attacks.ad_drift import AdDrift
from fedsiege.attacks.ad_hist import AdHist
from fedsiege.attacks.ad_mpaf import AdMpaf
from fedsiege.attacks.ad_sgn import AdSgn
from fedsiege.attacks.ad_sleep import AdSleep
from fedsiege.attacks.ad_synth import AdSynth, AdSynthP
from fedsiege.attacks.adaptive_alie import AdaptiveAlie
from fedsiege.attacks.adaptive_ipm import AdaptiveIpm
from fedsiege.attacks.alie import Alie
from fedsiege.attacks.backdoor import BackdoorAttack, TriggerAttack
from fedsiege.attacks.badnets import BadNets
from fedsiege.attacks.base import (
    Attack,
    Broadcast,
    CompromisedAttack,
    Knowledge,
    PoisoningAttack,
    Setting,
    StatefulAttack,
    catalogue,
)
from fedsiege.attacks.dba import Dba
from fedsiege.attacks.edge_case import EdgeCase
from fedsiege.attacks.fang_krum import FangKrum
from fedsiege.attacks.fang_trimmed_mean import FangTrimmedMean
from fedsiege.attacks.flooding import Flooding
from fedsiege.attacks.forged_metadata import ForgedMetadata
from fedsiege.attacks.free_rider import FreeRider
from fedsiege.attacks.gaussian import Gaussian
from fedsiege.attacks.history import History
from fedsiege.attacks.input_instance import InputInstance
from fedsiege.attacks.ipm import Ipm
from fedsiege.attacks.label_flip import LabelFlip
from fedsiege.attacks.mimic import Mimic
from fedsiege.attacks.min_max import MinMax
from fedsiege.attacks.min_sum import MinSum
from fedsiege.attacks.model_replacement import ModelReplacement
from fedsiege.attacks.mpaf import Mpaf
from fedsiege.attacks.mpaf_matched import MpafMatched
from fedsiege.attacks.mpaf_spread import MpafSpread
from fedsiege.attacks.neurotoxin import Neurotoxin
from fedsiege.attacks.poisonedfl import PoisonedFL, PoisonedFLNoise
from fedsiege.attacks.random import Random
from fedsiege.attacks.replay import Replay
from fedsiege.attacks.scaling import Scaling
from fedsiege.attacks.sign_flip import SignFlip
from fedsiege.attacks.sign_flip_gradient import SignFlipGradient
from fedsiege.attacks.targeted import Targeted
from fedsiege.catalogue import spell

create = catalogue.create
names = catalogue.names
parameters = catalogue.parameters
parse = catalogue.parse

__all__ = [
    "Absent",
    "AdAnti",
    "AdDrift",
    "AdHist",
    "AdMpaf",
    "AdSgn",
    "AdSleep",
    "AdSynth",
    "AdSynthP",
    "AdaptiveAlie",
    "AdaptiveIpm",
    "Alie",
    "Attack",
    "BackdoorAttack",
    "BadNets",
    "Broadcast",
    "CompromisedAttack",
    "Dba",
    "EdgeCase",
    "FangKrum",
    "FangTrimmedMean",
    "Flooding",
    "ForgedMetadata",
    "FreeRider",
    "Gaussian",
    "History",
    "InputInstance",
    "Ipm",
    "Knowledge",
    "LabelFlip",
    "Mimic",
    "MinMax",
    "MinSum",
    "ModelReplacement",
    "Mpaf",
    "MpafMatched",
    "MpafSpread",
    "Neurotoxin",
    "PoisonedFL",
    "PoisonedFLNoise",
    "PoisoningAttack",
    "Random",
    "Replay",
    "Scaling",
    "Setting",
    "SignFlip",
    "SignFlipGradient",
    "StatefulAttack",
    "Targeted",
    "TriggerAttack",
    "catalogue",
    "create",
    "names",
    "parameters",
    "parse",
    "spell",
]
