"""The worker that client and attacker share."""
