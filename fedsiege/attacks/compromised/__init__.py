"""Attacks by participants that know benign updates or train themselves."""
