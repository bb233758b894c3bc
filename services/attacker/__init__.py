"""The attacker: a worker that hosts hostile participants."""
