"""What an experiment is: its specification, its participants, faults and intrusions."""
