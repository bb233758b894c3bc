"""The metrics of a run: the model's accuracy and the detection of hostile participants.

- accuracy.py   impact of an attack, instability, rounds to a target, recall of each class
- detection.py  rates and AUC of one round, rounds until hostile participants are flagged

All are functions of plain numbers and numpy arrays. A value that is not defined, such as the
precision of a detector that flagged no participant, is None (NaN in arrays), never 0.
"""

from fedsiege.metrics.accuracy import (
    WINDOW,
    attack_impact,
    class_recall,
    instability,
    rounds_to_target,
)
from fedsiege.metrics.detection import Detection, Discovery, detection, discovery, roc_auc

__all__ = [
    "WINDOW",
    "Detection",
    "Discovery",
    "attack_impact",
    "class_recall",
    "detection",
    "discovery",
    "instability",
    "roc_auc",
    "rounds_to_target",
]
