"""Intrusions: attempts to get past the aggregator's admission, each tried on the real aggregator.

``fedsiege.experiment.intrusions`` has their names, and how often each is tried by default.
"""

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.services.attacker.intrusions.control import Control
from fedsiege.services.attacker.intrusions.foreign_certificate import ForeignCertificate
from fedsiege.services.attacker.intrusions.replay import DoubleUpdate, Replay
from fedsiege.services.attacker.intrusions.silent_streams import SilentStreams
from fedsiege.services.attacker.intrusions.sybils import Sybils
from fedsiege.services.attacker.intrusions.token_reuse import TokenReuse

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
