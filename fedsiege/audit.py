"""The name of before for ``fedsiege.detectors``, see renamed.py."""

from fedsiege.renamed import moved

__getattr__ = moved(__name__, "fedsiege.detectors", catalogue="registry")
