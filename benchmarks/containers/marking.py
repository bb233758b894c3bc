"""A worker with one participant whose updates leave marks, and that logs their results.

``python -m benchmarks.containers.marking --rounds 20 --of 50`` prints a line of JSON when it sends
an update, and another one with the result.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from unittest import mock

from benchmarks.containers.light import PARAMETERS, LightParticipants
from benchmarks.containers.marks import Marks
from fedsiege.services.errors import Refusal
from fedsiege.services.rpc.tensors import Floats
from fedsiege.services.worker import command, worker
from fedsiege.services.worker.submitting import Sender, Update
from fedsiege.v1 import simulator_pb2 as pb


class MarkingParticipants(LightParticipants):
    """Participants that mark the model instead of training it.

    Args:
        marks: the positions of the marks.
        within: each update is sent after a random time of up to this many seconds.
    """

    def __init__(self, marks: Marks, within: float) -> None:
        self._marks = marks
        self._within = within

    def updates(
        self, round_number: int, weights: Floats, indices: Sequence[int]
    ) -> Iterator[list[Update]]:
        """Yield each participant's marks of the round."""
        time.sleep(random.uniform(0, self._within))
        yield [
            Update(index, self._marks.update(round_number, index), num_samples=1, num_steps=1)
            for index in indices
        ]


class LoggingSender(Sender):
    """Prints each update that it sends, and the result."""

    async def submit(
        self, round_number: int, updates: Sequence[Update], deadline: float
    ) -> list[Refusal]:
        """Submit one update; arguments as for ``Sender``."""
        [update] = updates
        _log(round_number, update.index, "sent")
        refusals = await super().submit(round_number, updates, deadline)
        answers = [refusal.reason or refusal.code.name for refusal in refusals]
        _log(round_number, update.index, *(answers or ["OK"]))
        return refusals


def _log(round_number: int, participant: int, result: str) -> None:
    line = {"round": round_number, "participant": participant, "result": result}
    print(json.dumps(line), flush=True)


def main() -> None:
    """Parse the command line and run the worker."""
    parser = argparse.ArgumentParser(prog="benchmarks.containers.marking", description=__doc__)
    parser.add_argument("--rounds", type=int, required=True, help="rounds of the experiment")
    parser.add_argument("--of", type=int, required=True, help="participants of the experiment")
    parser.add_argument("--within", type=float, default=0.0, help="seconds in which to send")

    def make_participants(options: argparse.Namespace) -> worker.HostedParticipants:
        return MarkingParticipants(Marks(PARAMETERS, options.rounds, options.of), options.within)

    with mock.patch.object(worker, "Sender", LoggingSender):
        command.main(pb.WORKER_KIND_CLIENT, None, make_participants, parser)


if __name__ == "__main__":
    main()
