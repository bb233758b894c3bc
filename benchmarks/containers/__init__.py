"""Benchmarks of FedSiege in containers: ``make bench-containers``.

There is no peer to compare with: the claims are bounds of our own, and the figures include the
Docker engine.
"""
