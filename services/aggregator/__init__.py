"""Holds the global model; streams it out, takes updates in, aggregates, tests, remembers."""
