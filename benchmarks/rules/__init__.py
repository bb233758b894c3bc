"""``make bench-rules``: our aggregation rules beside ByzFL's, on the same matrices in one run."""
