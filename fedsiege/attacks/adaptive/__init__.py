"""Attacks by fake clients that follow how the global model moves."""
