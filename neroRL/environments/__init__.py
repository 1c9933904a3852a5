"""Environments, their wrappers, and the vectors of them that rollouts step."""
