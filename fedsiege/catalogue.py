"""The name of before for ``fedsiege.registry``, see renamed.py."""

from fedsiege.renamed import moved

__getattr__ = moved(__name__, "fedsiege.registry", Catalogue="Registry")
