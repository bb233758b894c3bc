"""Attacks by fake clients, which have no data and know only the global models."""
