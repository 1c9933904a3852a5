"""Evaluation of trained policies: which checkpoint, in which environment, and its table."""
