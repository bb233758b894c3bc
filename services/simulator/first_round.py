"""Whether the honest updates of the first round move the model at all."""

import statistics
from collections.abc import Iterable

import numpy as np

from fedsiege.results import ParticipantRow
from fedsiege.services.simulator.remote_federation import RETRY_TIMEOUT, RemoteFederation

#: The least length of an honest update, relative to the model's, that counts as training: both are
#: L2 norms, and their ratio does not depend on the scale of the weights. Measured in the first
#: round: 0.0002 to 0.0007 of net, lenet5 and cnn with LR=0.001 and 4 samples, whose accuracy was
#: the same after 10 rounds; 0.016 to 0.3 of eight models and data sets that trained.
LEAST = 0.002


async def norm_of_model(federation: RemoteFederation) -> float:
    """Pull the current model and return its L2 norm."""
    weights, _ = await federation.model(RETRY_TIMEOUT)
    return float(np.linalg.norm(weights))


def hardly_moved(rows: Iterable[ParticipantRow], norm: float) -> str:
    """Say that the honest updates of the first round hardly move the model; empty if they do.

    Running statistics of a model move with every batch and are part of its updates: of such a model
    nothing is ever said.

    Args:
        rows: the participants of the round.
        norm: L2 norm of the model that they were sent.
    """
    norms = [row.norm for row in rows if not row.hostile and row.norm is not None]
    if not norms or not norm:
        return ""
    ratio = statistics.median(norms) / norm
    if ratio >= LEAST:
        return ""
    return (
        f"honest training hardly moves the model: in round 1 the median honest update is "
        f"{100 * ratio:.2g}% as long as the model, less than {100 * LEAST:g}%; larger LR, SAMPLES "
        "or EPOCHS train it, and so does PRESET=ladder"
    )
