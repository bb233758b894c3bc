"""Count for more than one: send updates in others' names, or an own one twice."""

import secrets
import time
from collections.abc import Sequence

import numpy as np

from services.attacker.intrusions.base import Attempts, Foothold, Intrusion
from services.errors import Refusal
from services.worker.submitting import Sender, Update


async def _send(
    foothold: Foothold, credentials: dict[int, bytes], indices: Sequence[int]
) -> list[Refusal]:
    """Send an update of zeros, which moves nothing, in the name of each of these participants."""
    nothing = np.zeros(foothold.size, np.float32)
    sender = Sender(foothold.aggregator, foothold.federation_id, credentials)
    updates = [Update(index, nothing, 1, 1) for index in indices]
    try:
        return await sender.submit(foothold.round, updates, time.monotonic() + foothold.patience)
    finally:
        sender.close()


class Replay(Intrusion):
    """Sends updates in the name of participants that are somebody else's."""

    name = "replay"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Show an own secret for one half of them and a made-up one for the other."""
        own = next(iter(foothold.credentials.values()), secrets.token_bytes(32))
        for number, index in enumerate(list(foothold.others)[:count]):
            shown = secrets.token_bytes(32) if number % 2 else own
            refusals = await _send(foothold, {index: shown}, [index])
            if refusals:
                attempts.refused(refusals[0])
            else:
                attempts.passed()


class Double(Intrusion):
    """Sends an own update a second time in the same round."""

    name = "double"

    async def _attempt(self, foothold: Foothold, count: int, attempts: Attempts) -> None:
        """Send once more for participants whose own updates are in: zeros must not replace them."""
        for index in list(await foothold.taken_in)[:count]:
            refusals = await _send(foothold, dict(foothold.credentials), [index])
            if refusals:
                attempts.refused(refusals[0])
            else:
                attempts.passed()
