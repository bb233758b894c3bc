"""Auditing: which participants are suspect, and what becomes of them.

To add a detector, write one file like ``norm.py`` and import it below: that registers it.
"""

from typing import TYPE_CHECKING

from fedsiege.detectors import quarantine as quarantine
from fedsiege.detectors.audit import Audit as Audit
from fedsiege.detectors.audit import AuditState as AuditState
from fedsiege.detectors.audit import Examination as Examination
from fedsiege.detectors.audit import parse as parse
from fedsiege.detectors.base import FLAGGED as FLAGGED
from fedsiege.detectors.base import Detector as Detector
from fedsiege.detectors.base import registry as registry
from fedsiege.detectors.duplicate import Duplicate as Duplicate
from fedsiege.detectors.fixed_point import FixedPoint as FixedPoint
from fedsiege.detectors.history import History as History
from fedsiege.detectors.layers import Layers as Layers
from fedsiege.detectors.norm import Norm as Norm
from fedsiege.detectors.quarantine import Ledger as Ledger
from fedsiege.detectors.quarantine import Quarantine as Quarantine
from fedsiege.detectors.quarantine import Record as Record
from fedsiege.detectors.quarantine import Standing as Standing
from fedsiege.registry import spell as spell
from fedsiege.renamed import renamed

create = registry.create
names = registry.names
parameters = registry.parameters
register = registry.register

if not TYPE_CHECKING:  # else no type checker would find a wrong name
    __getattr__ = renamed(__name__, catalogue="registry")
