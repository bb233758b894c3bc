"""The simulator service: assigns participants to workers, schedules rounds, records results."""
