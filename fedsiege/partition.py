"""The name of before for ``fedsiege.partitions``, see renamed.py."""

from fedsiege.renamed import moved

__getattr__ = moved(__name__, "fedsiege.partitions", create="parse", catalogue="registry")
