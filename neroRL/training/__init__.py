"""Proximal policy optimisation: rollout, advantages, update, checkpoints."""
