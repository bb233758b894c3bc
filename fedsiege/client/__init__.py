"""A client of a simulator: starts experiments on a served federation, follows and cancels them.

    from fedsiege import Client

    with Client("localhost:50052") as client:
        experiment = client.start(attack=0.2, rule="median", rounds=20)
        for row in experiment.watch():
            print(row.round, row.accuracy)
        history = experiment.history()

All calls block, so that they work in a script and in a notebook alike. They raise the errors that
the server raised: ``InvalidValue`` for a setting that is not possible, ``NotFound`` for an
experiment that the simulator does not know, ``Unreachable`` where it does not answer; all are
subclasses of ``FedSiegeError``.
"""

from fedsiege.client.client import ADDRESS, TIMEOUT, Client
from fedsiege.client.experiment import Experiment, ExperimentState
from fedsiege.client.worker import Worker

__all__ = ["ADDRESS", "TIMEOUT", "Client", "Experiment", "ExperimentState", "Worker"]
