"""The worker: what the client and the attacker service have in common."""
