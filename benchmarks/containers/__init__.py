"""What FedSiege does in containers: ``make bench-containers``.

No peer takes part: the claims are bounds of our own, and what the engine gives is in the figures.
"""
