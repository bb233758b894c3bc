"""Backdoors: attacks that teach the model an answer to a trigger."""
