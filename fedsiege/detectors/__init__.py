"""Auditing: who among the participants is suspect, and what becomes of them.

To add a detector, write one file like ``norm.py`` and import it below.
"""

from fedsiege.detectors import quarantine
from fedsiege.detectors.audit import Audit, AuditState, Examination, parse
from fedsiege.detectors.base import FLAGGED, Detector, registry
from fedsiege.detectors.duplicate import Duplicate
from fedsiege.detectors.fixed_point import FixedPoint
from fedsiege.detectors.history import History
from fedsiege.detectors.layers import Layers
from fedsiege.detectors.norm import Norm
from fedsiege.detectors.quarantine import Ledger, Quarantine, Record, Standing
from fedsiege.registry import spell

create = registry.create
names = registry.names
parameters = registry.parameters

__all__ = [
    "FLAGGED",
    "Audit",
    "AuditState",
    "Detector",
    "Duplicate",
    "Examination",
    "FixedPoint",
    "History",
    "Layers",
    "Ledger",
    "Norm",
    "Quarantine",
    "Record",
    "Standing",
    "create",
    "names",
    "parameters",
    "parse",
    "quarantine",
    "registry",
    "spell",
]
