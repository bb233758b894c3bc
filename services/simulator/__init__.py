"""Schedules the rounds, knows who is hostile, collects history and reports."""
