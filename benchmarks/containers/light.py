"""A worker whose participants need no torch: ``python -m benchmarks.containers.light``.

Every participant sends back the model. Everything but the computation is real; without it a client
takes a tenth of the memory and starts faster.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.worker import command, worker
from fedsiege.services.worker.submitting import Update
from fedsiege.v1 import simulator_pb2 as pb

#: Parameters of LeNet-5.
PARAMETERS = 44_426


class LightParticipants(worker.HostedParticipants):
    """Participants that do not train."""

    @property
    def size(self) -> int:
        """Number of parameters of LeNet-5; other models would need torch."""
        return PARAMETERS

    def prepare(self, join: pb.Join) -> str:
        """Return the method, to be shown."""
        return "echo"

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Yield the model, scaled down so that it does not grow without bound."""
        echo = weights * np.float32(1e-3)
        yield [Update(index, echo, num_samples=1, num_steps=1) for index in indices]


if __name__ == "__main__":
    command.main(
        pb.WORKER_KIND_CLIENT,
        None,
        lambda options: LightParticipants(),
        argparse.ArgumentParser(prog="benchmarks.containers.light", description=__doc__),
    )
