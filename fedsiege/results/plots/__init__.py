"""Plots of a run's results."""
