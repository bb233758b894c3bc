"""Send updates in the name of other participants, or a second update in a round."""

import secrets
import time
from collections.abc import Sequence

import numpy as np

from fedsiege.services.attacker.intrusions.base import Attempts, Intrusion, IntrusionContext
from fedsiege.services.errors import Refusal
from fedsiege.services.worker.submitting import Sender, Update


async def _send(
    context: IntrusionContext, credentials: dict[int, bytes], indices: Sequence[int]
) -> list[Refusal]:
    """Submit an update of zeros, which changes no model, for each of these participants."""
    zeros = np.zeros(context.size, np.float32)
    sender = Sender(context.aggregator, context.federation_id, credentials)
    updates = [Update(index, zeros, 1, 1) for index in indices]
    try:
        return await sender.submit(context.round, updates, time.monotonic() + context.time_limit)
    finally:
        sender.close()


class Replay(Intrusion):
    """Send updates in the name of participants of other workers.

    The intruder knows the indices of all participants, which every caller may list, and the secrets
    of its own. It aims at another participant's place in the round. It sends an update of zeros for
    each of up to ``count`` others, with the secret of a participant of its own, and every second
    time with a random one. The aggregator refuses both with ``WRONG_CREDENTIAL``, or with
    certificates with ``FOREIGN_IDENTITY``.

    Source:
        FedSiege's own: see :doc:`/admission`.
    """

    name = "replay"

    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Send with the secret of an own participant, and every second time with a random one."""
        own = next(iter(context.credentials.values()), secrets.token_bytes(32))
        for number, index in enumerate(list(context.others)[:count]):
            shown = secrets.token_bytes(32) if number % 2 else own
            refusals = await _send(context, {index: shown}, [index])
            if refusals:
                attempts.refused(refusals[0])
            else:
                attempts.passed()


class DoubleUpdate(Intrusion):
    """Send a second update for an own participant in the same round.

    The intruder has participants of its own, with their secrets. It aims at counting twice. It
    waits until their real updates were accepted, and then sends zeros for each of up to ``count``
    of them, which must not replace the updates. The aggregator refuses them with
    ``DUPLICATE_UPDATE``.

    Source:
        FedSiege's own: see :doc:`/admission`.
    """

    name = "double"

    async def _attempt(self, context: IntrusionContext, count: int, attempts: Attempts) -> None:
        """Send again after the real updates were accepted, which zeros must not replace."""
        for index in list(await context.accepted)[:count]:
            refusals = await _send(context, dict(context.credentials), [index])
            if refusals:
                attempts.refused(refusals[0])
            else:
                attempts.passed()
