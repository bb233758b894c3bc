"""The attacks by name: ``attacks.create("mpaf", scale=2)``, ``attacks.parse("mpaf:scale=2")``.

To add an attack, write one file like ``history.py`` and import it below.
"""

from fedsiege.attacks.adaptive.ad_anti import AdAnti
from fedsiege.attacks.adaptive.ad_drift import AdDrift
from fedsiege.attacks.adaptive.ad_hist import AdHist
from fedsiege.attacks.adaptive.ad_mpaf import AdMpaf
from fedsiege.attacks.adaptive.ad_sgn import AdSgn
from fedsiege.attacks.adaptive.ad_sleep import AdSleep
from fedsiege.attacks.adaptive.ad_synth import AdSynth, AdSynthP
from fedsiege.attacks.backdoors.backdoor import BackdoorAttack, TriggerAttack
from fedsiege.attacks.backdoors.badnets import BadNets
from fedsiege.attacks.backdoors.dba import Dba
from fedsiege.attacks.backdoors.edge_case import EdgeCase
from fedsiege.attacks.backdoors.input_instance import InputInstance
from fedsiege.attacks.backdoors.model_replacement import ModelReplacement
from fedsiege.attacks.backdoors.neurotoxin import Neurotoxin
from fedsiege.attacks.base import (
    Attack,
    Broadcast,
    CompromisedAttack,
    Knowledge,
    PoisoningAttack,
    Setting,
    StatefulAttack,
    registry,
)
from fedsiege.attacks.compromised.adaptive import AdaptiveAlie, AdaptiveIpm
from fedsiege.attacks.compromised.alie import Alie
from fedsiege.attacks.compromised.bounded_shift import MinMax, MinSum
from fedsiege.attacks.compromised.fang_krum import FangKrum
from fedsiege.attacks.compromised.fang_trimmed_mean import FangTrimmedMean
from fedsiege.attacks.compromised.gaussian import Gaussian
from fedsiege.attacks.compromised.ipm import Ipm
from fedsiege.attacks.compromised.mimic import Mimic
from fedsiege.attacks.compromised.scaling import Scaling
from fedsiege.attacks.compromised.sign_flip import SignFlip, SignFlipGradient
from fedsiege.attacks.data_poisoning.base import Targeted
from fedsiege.attacks.data_poisoning.label_flip import LabelFlip
from fedsiege.attacks.fake.absent import Absent
from fedsiege.attacks.fake.flooding import Flooding
from fedsiege.attacks.fake.forged_metadata import ForgedMetadata
from fedsiege.attacks.fake.free_rider import FreeRider
from fedsiege.attacks.fake.history import History
from fedsiege.attacks.fake.mpaf import Mpaf, MpafMatched, MpafSpread
from fedsiege.attacks.fake.poisonedfl import PoisonedFL, PoisonedFLNoise
from fedsiege.attacks.fake.random import Random
from fedsiege.attacks.fake.replay import Replay
from fedsiege.registry import spell

create = registry.create
names = registry.names
parameters = registry.parameters
parse = registry.parse

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
    "create",
    "names",
    "parameters",
    "parse",
    "registry",
    "spell",
]
