"""Intrusions: attempts to get past the aggregator's admission, each tried on the real aggregator.

``fedsiege.experiment.intrusions`` has their names, and how often each is tried by default.
"""

from services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from services.attacker.intrusions.control import Control
from services.attacker.intrusions.foreign_certificate import ForeignCertificate
from services.attacker.intrusions.replay import DoubleUpdate, Replay
from services.attacker.intrusions.silent_streams import SilentStreams
from services.attacker.intrusions.sybils import Sybils
from services.attacker.intrusions.token_reuse import TokenReuse

#: The intrusions by name.
IMPLEMENTATIONS: dict[str, Intrusion] = {
    kind.name: kind()
    for kind in (
        Control,
        DoubleUpdate,
        ForeignCertificate,
        Replay,
        SilentStreams,
        Sybils,
        TokenReuse,
    )
}

__all__ = ["IMPLEMENTATIONS", "Attempts", "Intrusion", "IntrusionContext"]
