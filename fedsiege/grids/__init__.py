"""Grids of experiments: the file, its cells, their tables and pictures."""
