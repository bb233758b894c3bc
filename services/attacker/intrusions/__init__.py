"""Ways to get in, each tried on the real aggregator: what an admission mode is worth.

Their names, and how often each is tried, stand in ``fedsiege.experiment.intrusions``.
"""

from services.attacker.intrusions.base import Attempts, Foothold, Intrusion
from services.attacker.intrusions.control import Control
from services.attacker.intrusions.foreign_certificate import ForeignCertificate
from services.attacker.intrusions.replay import Double, Replay
from services.attacker.intrusions.silent_streams import SilentStreams
from services.attacker.intrusions.sybils import Sybils
from services.attacker.intrusions.token_reuse import TokenReuse

WAYS: dict[str, Intrusion] = {
    way.name: way()
    for way in (Control, Double, ForeignCertificate, Replay, SilentStreams, Sybils, TokenReuse)
}

__all__ = ["WAYS", "Attempts", "Foothold", "Intrusion"]
