"""A worker whose participants do not train: ``python -m benchmarks.echo``, with a worker's options.

Everything but the computation is real.
"""

import argparse

from benchmarks.containers.light import LightParticipants
from fedsiege import models
from fedsiege.services.worker import command
from fedsiege.v1 import simulator_pb2 as pb


class EchoParticipants(LightParticipants):
    """Participants that send back a model of any size; to look up its size needs torch."""

    def __init__(self) -> None:
        self._size = 0

    @property
    def size(self) -> int:
        """Number of parameters of the model; known after ``prepare``."""
        return self._size

    def prepare(self, join: pb.Join) -> str:
        """Look up the size of the model; return the method, to be shown."""
        self._size = models.size(join.model)
        return "echo"


if __name__ == "__main__":
    command.main(
        pb.WORKER_KIND_CLIENT,
        None,
        lambda options: EchoParticipants(),
        argparse.ArgumentParser(prog="benchmarks.echo", description=__doc__),
    )
