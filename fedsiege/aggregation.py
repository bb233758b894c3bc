"""The name of before for ``fedsiege.rules``, see renamed.py."""

from fedsiege.renamed import moved

__getattr__ = moved(__name__, "fedsiege.rules", catalogue="registry")
