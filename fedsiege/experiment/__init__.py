"""An experiment: its specification, its participants, faults and intrusions."""
