"""The cohort engine: the local training of many participants as one computation.

All participants of a round start from the same weights, and each trains on few samples. Trained one
by one, most of the time passes between small operations. The engine runs a block of participants
through the model together: their convolutions become one grouped convolution, and linear layers
keep the inputs and gradients of a short training in place of one matrix per participant.

- trainer.py        ``CohortTrainer``: a round, divided into blocks
- engine.py         one block, from the global weights to the updates
- schedule.py       which participant trains on which samples at which step
- graph.py          the operations of the module, read by torch.fx
- layer.py          the interface of a layer, and the registry of the layers the engine runs
- convolution.py, linear.py, normalisation.py, parameterless.py: the layers

To support another layer, add a class with ``@runs(its type)`` to one of these files.
"""

from fedsiege.training.cohort.trainer import CohortTrainer

__all__ = ["CohortTrainer"]
