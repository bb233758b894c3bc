"""A worker whose participants do not train: ``python -m benchmarks.echo``, options as any worker's.

All of the wire is the real one; only the computation is left out.
"""

import argparse

from benchmarks.containers.light import LightParticipants
from fedsiege import models
from fedsiege.v1 import simulator_pb2 as pb
from services.worker import command


class EchoParticipants(LightParticipants):
    """The same for a model of any length; looking that up takes torch."""

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


if __name__ == "__main__":
    command.main(
        pb.WORKER_KIND_CLIENT,
        None,
        lambda options: EchoParticipants(),
        argparse.ArgumentParser(prog="benchmarks.echo", description=__doc__),
    )
