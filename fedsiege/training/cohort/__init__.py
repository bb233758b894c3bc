"""Many small trainings as one computation: the cohort engine.

All participants of a round start from the same weights, and each trains on a handful of samples.
One by one, a core spends most of its time between the operations. Here the participants of a block
go through the model together: those of a convolution become groups of one grouped convolution, and
linear layers remember what they saw and how they were blamed instead of keeping a matrix for each.

- graph.py        the module's operations, by torch.fx, each with the rule that runs it
- layers.py       what such a rule is; the rules are in convolution.py linear.py normalisation.py
  channelwise.py structure.py. **A new layer is a class there with ``@rule(its type)``.**
- schedule.py     who trains on which samples at which step
- block.py        the participants trained together, and parameters that each has for itself
- engine.py       a block, from the global weights to the deltas
- trainer.py      a round, block by block
"""

from fedsiege.training.cohort.trainer import CohortTrainer

__all__ = ["CohortTrainer"]
