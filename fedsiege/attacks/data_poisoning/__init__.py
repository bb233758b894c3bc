"""Attacks that change the labels of the training data."""
