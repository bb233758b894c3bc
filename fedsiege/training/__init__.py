"""Local training of participants, optimisers, evaluation and the base classifier."""
