"""A worker whose participants do not train: ``python -m benchmarks.echo``, options as any worker's.

All of the wire is the real one; only the computation is left out.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from fedsiege import models
from fedsiege.v1 import simulator_pb2 as pb
from services.wire import worker
from services.wire.submitting import Update
from services.wire.tensors import Floats


class EchoCrew(worker.Crew):
    """Every participant sends back what came, made small so that the model does not explode."""

    def __init__(self) -> None:
        self._size = 0

    @property
    def size(self) -> int:
        """How many parameters the model has."""
        return self._size

    def prepare(self, join: pb.Join) -> str:
        """Look up how long the model is."""
        self._size = models.size(join.model)
        return "echo"

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Yield all echoes at once; they share their memory, but each is sent by itself."""
        echo = weights * np.float32(1e-3)
        yield [Update(index, echo, num_samples=1, num_steps=1) for index in indices]


if __name__ == "__main__":
    worker.main(
        pb.WORKER_KIND_CLIENT,
        None,
        lambda options: EchoCrew(),
        argparse.ArgumentParser(prog="benchmarks.echo", description=__doc__),
    )
