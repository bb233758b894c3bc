"""The name of before for ``fedsiege.experiment.spec``, see renamed.py."""

from fedsiege.renamed import moved

__getattr__ = moved(__name__, "fedsiege.experiment.spec")
