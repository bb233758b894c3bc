"""Numerical building blocks of rules and detectors. Nothing here knows a rule."""
