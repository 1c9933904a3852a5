"""Ranks permutations by their results: who is best, who may be as good, and what would tell."""
